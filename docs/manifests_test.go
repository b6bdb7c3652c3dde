package docs_test

import (
	"crypto/rand"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/store"
)

func TestTheProgramTakesTheManifestsConfiguration(t *testing.T) {
	t.Parallel()
	if _, err := reload.Load(reload.Source{File: "../manifests/base/worker.yaml"}); err != nil {
		t.Error(err)
	}
}

func TestTheManifestsScalerCountsWhatIsDueOrRunsAndDoesNothingElse(t *testing.T) {
	t.Parallel()
	w := newScaledWalk(t)
	w.as("understudy_owner", "SELECT production.enqueue('mail', queue => 'mail')")
	w.as("understudy_owner", "SELECT production.enqueue('mail', queue => 'mail')")
	w.as("understudy_owner", "SELECT production.enqueue('mail', queue => 'mail', scheduled_at => now() + interval '1 hour')")

	query := regexp.MustCompile(`query: (.*)`).FindStringSubmatch(read(t, "../manifests/overlays/production/scaling.yaml"))[1]
	if counted := w.as("understudy_scaler", query); !strings.Contains(counted, " 2\n") {
		t.Errorf("two jobs are due, one is not, and it counts:\n%s", counted)
	}
	w.open([]string{"pod", "active", "1.0"})
	w.claim([]string{"1", "mail", "mail"})
	if counted := w.as("understudy_scaler", query); !strings.Contains(counted, " 2\n") {
		t.Errorf("one job is due, one runs, and it counts:\n%s", counted)
	}
	for _, sql := range []string{
		"SELECT production.enqueue('mail')", "SELECT production.cancel(1)", "DELETE FROM production.ready",
		"CREATE TABLE production.mine ()", "CREATE SCHEMA mine",
	} {
		if printed := w.as("understudy_scaler", sql); !strings.Contains(printed, "permission denied") {
			t.Errorf("%s:\n%s", sql, printed)
		}
	}
}

// newScaledWalk is a walk in a database whose logins are those of the manifests,
// and whose production is migrated by its owner.
func newScaledWalk(t *testing.T) *walk {
	t.Helper()
	w := &walk{t: t, dsn: pgtest.Database(t), jobs: map[int64]*understudy.Job{}}
	config, err := pgx.ParseConfig(w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	if w.conn, err = pgx.ConnectConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	w.logins = strings.NewReplacer("understudy_", "understudy_"+strings.ToLower(rand.Text())[:10]+"_")
	t.Cleanup(func() {
		w.leave([]string{"understudy_scaler", "understudy_production", "understudy_preview", "understudy_owner"})
	})
	for _, file := range []string{"components/postgres/logins.sql", "overlays/production/scaler.sql"} {
		if _, err := w.conn.Exec(t.Context(), w.logins.Replace(read(t, "../manifests/"+file))); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	config.RuntimeParams["role"] = w.logins.Replace("understudy_owner")
	if err := store.Migrate(t.Context(), config, store.MigrateOptions{Schema: schema, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	return w
}

// as runs a statement as a login, and returns what psql prints.
func (w *walk) as(login, sql string) string {
	w.t.Helper()
	w.run(block{text: "SET SESSION AUTHORIZATION " + login})
	defer w.run(block{text: "RESET SESSION AUTHORIZATION"})
	return w.run(block{text: sql})
}
