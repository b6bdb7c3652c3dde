package store_test

import (
	"io/fs"
	"testing"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/internal/session"
	"github.com/understudy-worker/understudy/migrations"
	"github.com/understudy-worker/understudy/store"
)

// inLatin is a schema in a database that is not UTF8, as versions before made
// them: none is made any more.
func inLatin(t *testing.T) *fixture {
	t.Helper()
	config := onDatabase(t, pgtest.DatabaseIn(t, "LATIN1")).pool.Config()
	session.RelyOnDriver(config.ConnConfig)
	f := &fixture{pool: newPool(t, config), schema: "jobs"}
	f.exec(t, "CREATE SCHEMA jobs")
	files, err := fs.Glob(migrations.Files, "*.up.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("migrations are %v, error %v", files, err)
	}
	config.ConnConfig.RuntimeParams["search_path"] = "jobs, pg_temp"
	pool := newPool(t, config)
	for _, file := range files {
		text, err := fs.ReadFile(migrations.Files, file)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Conn().PgConn().Exec(t.Context(), string(text)).ReadAll()
		conn.Release()
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	if f.Store, err = store.New(f.pool, f.schema); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWhatADatabaseCannotHoldIsSearchedForAndNotFound(t *testing.T) {
	t.Parallel()
	f := inLatin(t)
	id := mustEnqueue(t, f, store.NewJob{Kind: "café", Args: map[string]string{"a": "thé"}})
	for text, want := range map[string]int{"thé": 1, "€": 0, "thé €": 0, "": 1} {
		found, err := f.Search(t.Context(), store.Search{Text: text})
		if err != nil || len(found.Jobs) != want || want > 0 && found.Jobs[0].ID != id {
			t.Errorf("%q: found %+v, error %v", text, found.Jobs, err)
		}
	}
	for kind, want := range map[string]int{"café": 1, "€": 0} {
		found, err := f.Search(t.Context(), store.Search{Kind: kind})
		if err != nil || len(found.Jobs) != want {
			t.Errorf("search for kind %s: found %+v, error %v", kind, found.Jobs, err)
		}
		rows, err := f.Jobs(t.Context(), store.Filter{Kind: kind})
		if err != nil || len(rows) != want {
			t.Errorf("list of kind %s: %+v, error %v", kind, rows, err)
		}
	}
}
