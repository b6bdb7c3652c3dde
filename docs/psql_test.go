package docs_test

import (
	"context"
	"crypto/rand"
	"flag"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

var update = flag.Bool("update", false, "write what psql.md's statements print into it")

// schema is the name that the walk gives its schema.
const schema = "production"

func TestPsqlWalkPrintsWhatItSays(t *testing.T) {
	t.Parallel()
	document := read(t, "psql.md")
	w := newWalk(t, pgtest.Database(t))
	all := blocks(document)
	for i, b := range all {
		if t.Failed() {
			return // what follows would be nonsense
		}
		switch b.kind {
		case "test":
			w.act(b)
		case "sql":
			printed := w.run(b)
			if i+1 < len(all) && all[i+1].kind == "text" {
				document = w.compare(document, all[i+1], printed)
			} else if strings.HasPrefix(printed, "ERROR") {
				t.Errorf("line %d: %s", b.line, printed)
			}
		case "text":
		default:
			t.Errorf("line %d: a block of kind %q is not tried", b.line, b.kind)
		}
	}
	if *w.notified == 0 {
		t.Error("nothing was heard on the channel that the walk listens on")
	}
	if *update {
		if err := os.WriteFile("psql.md", []byte(document), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// walk is the database that the walk goes through.
type walk struct {
	t        *testing.T
	dsn      string
	conn     *pgx.Conn
	notified *int
	logins   *strings.Replacer // the document's logins, which the whole server shares, to ones of this test's own
	queue    *store.Queue
	jobs     map[int64]*understudy.Job // claimed and not recorded
}

func newWalk(t *testing.T, dsn string) *walk {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context(), config, store.MigrateOptions{Schema: schema, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	w := &walk{t: t, dsn: dsn, notified: new(int), jobs: map[int64]*understudy.Job{}}
	config.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { *w.notified++ }
	if w.conn, err = pgx.ConnectConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	suffix := "_" + strings.ToLower(rand.Text())[:10]
	pairs := []string{"DATABASE shop ", "DATABASE " + pgx.Identifier{config.Database}.Sanitize() + " "}
	names := []string{"shop_producer", "shop_worker_too", "shop_worker", "shop_reader"} // the longer name first: it begins with the other
	for _, name := range names {
		pairs = append(pairs, name, name+suffix)
	}
	w.logins = strings.NewReplacer(pairs...)
	t.Cleanup(func() { w.leave(names) })
	return w
}

// leave closes the connection and drops the logins, if the walk did not come
// to its end.
func (w *walk) leave(names []string) {
	ctx := context.Background()
	for _, name := range names {
		for _, sql := range []string{"RESET SESSION AUTHORIZATION", "DROP OWNED BY " + name, "DROP USER " + name} {
			_, _ = w.conn.Exec(ctx, w.logins.Replace(sql)) // fails where it is gone already
		}
	}
	_ = w.conn.Close(ctx)
}

// run runs a block's statements as psql does, and returns what it prints.
func (w *walk) run(b block) string {
	results, err := w.conn.PgConn().Exec(w.t.Context(), w.logins.Replace(b.text)).ReadAll()
	return psqlOutput(results, err)
}

// compare compares what was printed with what the document says, or says it there.
func (w *walk) compare(document string, want block, printed string) string {
	w.t.Helper()
	if !*update {
		if diff := cmp.Diff(want.text, printed); diff != "" {
			w.t.Errorf("line %d (-the document +what is printed; -update rewrites it):\n%s", want.line, diff)
		}
		return document
	}
	lines := strings.Split(document, "\n")
	// Blocks before this one may have grown: find it by its place in the new document.
	start := want.line + len(lines) - len(strings.Split(read(w.t, "psql.md"), "\n"))
	old := strings.Count(want.text, "\n")
	return strings.Join(slices.Replace(lines, start, start+old, strings.Split(strings.TrimSuffix(printed, "\n"), "\n")...), "\n")
}
