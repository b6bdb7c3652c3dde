package integration_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy/integration/internal/container"
)

// refused says whether the server denied permission.
func refused(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == pgerrcode.InsufficientPrivilege
}

func TestWhoHasNoBusinessInADatabaseCannotConnectToIt(t *testing.T) {
	t.Parallel()
	th, c := withLogins(t, container.Shared(t))
	th.do(execute(th.config(c.admin), "CREATE ROLE "+c.newcomer.name+" LOGIN PASSWORD '"+c.newcomer.password+"'"))
	production, preview := th.production(), th.preview()
	for _, who := range []struct {
		login
		production, preview bool
	}{
		{c.owner, true, false}, {c.production, true, false}, {c.producer, true, false}, {c.preview, false, true}, {c.newcomer, false, false},
	} {
		for pl, may := range map[*place]bool{production: who.production, preview: who.preview} {
			conn, err := pgx.ConnectConfig(t.Context(), th.configOf(pl, who.login))
			if err == nil {
				th.do(conn.Close(t.Context()))
			}
			if may && err != nil || !may && !refused(err) {
				t.Errorf("%s connects to the database of %s: %v, want that it may: %t", who.name, pl.target, err, may)
			}
		}
	}
}

func TestTheLoginsAreNotMadeWhereTheirFileCannotCloseTheDatabase(t *testing.T) {
	t.Parallel()
	server := container.Shared(t)
	c := newCast()
	t.Cleanup(func() { c.leave(t, server) })
	th := emptyTheatre(t, server, server)
	pl := th.production()
	th.do(execute(th.superuser(), "CREATE ROLE "+c.admin.name+" LOGIN CREATEROLE PASSWORD '"+c.admin.password+"'"))
	th.do(execute(th.superuser(), "GRANT ALL ON DATABASE "+pgx.Identifier{pl.database}.Sanitize()+" TO "+c.admin.name+" WITH GRANT OPTION"))
	err := execute(th.config(c.admin), c.document(t, "logins.sql")) // which is one transaction
	if !refused(err) || !strings.Contains(err.Error(), "everybody may still connect") {
		t.Errorf("by who does not own the database: %v", err)
	}
	var made int
	th.do(pl.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_roles WHERE rolname IN ($1, $2)", c.owner.name, c.preview.name).Scan(&made))
	if made != 0 {
		t.Errorf("%d logins were made all the same", made)
	}
}

// nextMigration writes the application's migrations and one more, and returns
// their directory.
func nextMigration(t *testing.T, sql string) string {
	t.Helper()
	dir := t.TempDir()
	err := errors.Join(os.CopyFS(dir, os.DirFS("worker/migrations")), os.WriteFile(filepath.Join(dir, "0002_next.up.sql"), []byte(sql), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// extending is a migration that takes an extension.
const extending = "CREATE EXTENSION IF NOT EXISTS citext SCHEMA public; CREATE TABLE customers (email citext); INSERT INTO customers VALUES ('ada@example.com')"

// customers counts what the migration has left in production.
func (th *theatre) customers() (count int, err error) {
	err = th.production().pool.QueryRow(th.t.Context(), "SELECT count(email) FROM production.customers").Scan(&count)
	return count, err
}

func TestAnExtensionThatAMigrationTakesIsRehearsedInPreviewAndMadeAnewInProduction(t *testing.T) {
	t.Parallel()
	th, c := withLogins(t, container.Shared(t))
	files := "--targets.production.app_migrations=" + nextMigration(t, extending)
	preview := strings.Replace(files, "production", "preview", 1)
	_, err := th.commandAs(c.preview, "migrate", "up", "--target=preview", preview)
	th.do(err)
	th.preview().schema = "preview_2" // the next revision finds it
	_, err = th.commandAs(c.preview, "migrate", "up", "--target=preview", preview)
	th.do(err)
	_, err = th.commandAs(c.owner, "migrate", "up", "--target=production", files)
	th.do(err)
	_, err = th.sessionIn(th.preview(), c.preview).Exec(t.Context(), "DROP EXTENSION citext CASCADE")
	th.do(err)
	if count, err := th.customers(); err != nil || count != 1 {
		t.Errorf("production has %d customers after the preview dropped its extension: %v", count, err)
	}
}

func TestProductionIsNotMigratedOnAnExtensionThatAPreviewMayDrop(t *testing.T) {
	t.Parallel()
	th, c := withLoginsInOneDatabase(t, container.Shared(t))
	_, err := th.commandAs(c.preview, "migrate", "up", "--target=preview", "--targets.preview.app_migrations="+nextMigration(t, extending))
	th.do(err)
	up := []string{"migrate", "up", "--target=production", "--targets.production.app_migrations=" + nextMigration(t, extending)}
	_, err = th.commandAs(c.owner, up...)
	if err == nil || !strings.Contains(err.Error(), `extension "citext" belongs to login "`+c.preview.name+`"`) {
		t.Fatalf("error %v, want that it names the extension and its login", err)
	}
	var tables int
	th.do(th.production().pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'production' AND tablename = 'customers'").Scan(&tables))
	if tables != 0 {
		t.Error("what was refused was begun")
	}
	// What it says is a way out.
	preview := th.session(c.preview)
	_, err = preview.Exec(t.Context(), "DROP EXTENSION citext")
	if err == nil || !strings.Contains(err.Error(), "other objects depend on it") {
		t.Errorf("error %v, want that it names what uses the extension", err)
	}
	_, err = preview.Exec(t.Context(), "DROP TABLE preview.customers; DROP EXTENSION citext")
	th.do(err)
	th.do(execute(th.config(c.owner), "CREATE EXTENSION citext SCHEMA public"))
	_, err = th.commandAs(c.owner, up...)
	th.do(err)
	if _, err := preview.Exec(t.Context(), "DROP EXTENSION citext CASCADE"); !refused(err) {
		t.Errorf("a preview drops an extension that is the owner's: %v", err)
	}
	if count, err := th.customers(); err != nil || count != 1 {
		t.Errorf("production has %d customers: %v", count, err)
	}
}

func TestInOneDatabaseANameWithoutASchemaDoesNotFindWhatAPreviewMade(t *testing.T) {
	t.Parallel()
	th, c := withLoginsInOneDatabase(t, container.Shared(t))
	pl := th.production()
	_, err := pl.pool.Exec(t.Context(), "CREATE TABLE public.orders (id int); GRANT INSERT ON public.orders TO "+c.producer.name)
	th.do(err)
	superuser, err := pgx.ConnectConfig(t.Context(), th.superuser())
	th.do(err)
	t.Cleanup(func() { _ = superuser.Close(context.Background()) })
	sessions := map[string]*pgx.Conn{superuser.Config().User: superuser}
	for _, who := range []login{c.owner, c.production, c.producer} {
		sessions[who.name] = th.session(who)
	}
	preview := th.session(c.preview)
	for who, session := range sessions {
		trap := pgx.Identifier{who}.Sanitize() // where a login looks first, if it is not told otherwise
		for _, statement := range []string{"CREATE SCHEMA " + trap, "CREATE TABLE " + trap + ".orders (id int)",
			"CREATE FUNCTION " + trap + ".mine() RETURNS int RETURN 1", "GRANT ALL ON SCHEMA " + trap + " TO PUBLIC", "GRANT ALL ON " + trap + ".orders TO PUBLIC"} {
			_, err := preview.Exec(t.Context(), statement)
			th.do(err)
		}
		var table, function string
		th.do(session.QueryRow(t.Context(), "SELECT to_regclass('orders')::oid::regclass::text, coalesce(to_regproc('mine')::text, '')").Scan(&table, &function))
		if table != "orders" || function != "" {
			t.Errorf("%s finds %s and %s, which are the preview's", who, table, function)
		}
	}
	_, err = sessions[c.producer.name].Exec(t.Context(), "INSERT INTO orders VALUES (1)")
	th.do(err)
	var orders int
	th.do(pl.pool.QueryRow(t.Context(), "SELECT count(*) FROM public.orders").Scan(&orders))
	if orders != 1 {
		t.Errorf("public has %d orders, want the producer's", orders)
	}
}

func TestTheWorkersLoginCannotHaveMigrationsRunAgainOrStopped(t *testing.T) {
	t.Parallel()
	th, c := withLogins(t, container.Shared(t))
	up := []string{"migrate", "up", "--target=production", "--targets.production.app_migrations=" + nextMigration(t, "CREATE TABLE rates (x int)")}
	_, err := th.commandAs(c.owner, up...)
	th.do(err)
	th.do(execute(th.config(c.owner), "GRANT ALL ON ALL TABLES IN SCHEMA production TO "+c.production.name))
	_, err = th.commandAs(c.owner, up...) // with nothing to do
	th.do(err)
	worker := th.session(c.production)
	for _, table := range []string{"understudy_migrations", "app_migrations"} {
		for _, statement := range []string{"DELETE FROM production.", "TRUNCATE production.", "INSERT INTO production.", "UPDATE production."} {
			rest := map[string]string{"INSERT INTO production.": " VALUES (9, false)", "UPDATE production.": " SET dirty = true"}[statement]
			if _, err := worker.Exec(t.Context(), statement+table+rest); !refused(err) {
				t.Errorf("%s%s%s: %v, want that permission is denied", statement, table, rest, err)
			}
		}
	}
	a := th.start("a", "active")
	th.untilServes(a, th.production(), "active")
}
