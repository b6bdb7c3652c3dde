package store_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

func TestPreviewsAreTheMarkedSchemasTheOneThatIsServedFirst(t *testing.T) {
	t.Parallel()
	pool, target := pgtest.Pool(t), pgtest.Schema(t) // a target of this test's own
	previews := make([]*fixture, 3)
	var want []string
	for i := range previews {
		schema := pgtest.Schema(t)
		err := store.Migrate(t.Context(), pool.Config().ConnConfig, store.MigrateOptions{Schema: schema, Mark: store.PreviewMark(target)})
		if err != nil {
			t.Fatal(err)
		}
		s, err := store.New(pool, schema)
		if err != nil {
			t.Fatal(err)
		}
		previews[i], want = &fixture{s, pool, schema}, append([]string{schema}, want...)
	}
	migrate(t, pool, pgtest.Schema(t)) // without the mark
	list := func(wanted func(string) bool) (names []string, live int) {
		t.Helper()
		all, err := store.Previews(t.Context(), pool, target, wanted)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			names = append(names, p.Schema)
			if !p.LiveSince.IsZero() {
				live++
			}
		}
		return names, live
	}
	all := func(string) bool { return true }

	names, live := list(all)
	if diff := cmp.Diff(want, names); diff != "" || live != 0 {
		t.Errorf("before anybody works: %d are live; the newest first (-want +got):\n%s", live, diff)
	}
	older := previews[0].epoch(t)
	if names, live = list(all); live != 1 || names[0] != previews[0].schema {
		t.Errorf("while the oldest is served: %v, %d live", names, live)
	}
	previews[1].epoch(t)
	if names, live = list(all); live != 2 || names[0] != previews[1].schema || names[1] != previews[0].schema {
		t.Errorf("while another is served too: %v, %d live", names, live)
	}
	if names, _ = list(func(schema string) bool { return schema == previews[2].schema }); len(names) != 1 {
		t.Errorf("of those with one name: %v", names)
	}
	if err := older.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	if names, live = list(all); live != 1 || names[0] != previews[1].schema {
		t.Errorf("after the first has left: %v, %d live", names, live)
	}
}

func TestAPreviewThatIsNotMigratedYetIsOneToo(t *testing.T) {
	t.Parallel()
	conn, schema := pgtest.Conn(t), pgtest.Schema(t)
	for _, sql := range []string{
		"CREATE SCHEMA " + pgx.Identifier{schema}.Sanitize(),
		"COMMENT ON SCHEMA " + pgx.Identifier{schema}.Sanitize() + " IS '" + strings.ReplaceAll(store.PreviewMark(schema), "'", "''") + "'",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	all, err := store.Previews(t.Context(), conn, schema, func(string) bool { return true })
	if diff := cmp.Diff([]store.Preview{{Schema: schema}}, all); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}
