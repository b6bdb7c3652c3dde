package integration_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/integration/internal/container"
)

// cast are the logins that the documents tell people to make, under names of
// this test's own, since a server's logins are there for all its databases.
type cast struct {
	admin                                login // no superuser: it owns the database and may make logins
	owner, production, preview, newcomer login
	producer                             login
	rename                               *strings.Replacer
	logins                               string // the file that makes them
}

// withLogins is a theatre whose places have logins of their own, the preview's a
// database of its own too, and whose production was migrated by its owner.
func withLogins(t *testing.T, server *container.Postgres) (*theatre, *cast) {
	t.Helper()
	return stageLogins(t, server, func(th *theatre, c *cast) { c.makePreviewsDatabase(th) })
}

// withLoginsInOneDatabase is the same in one database.
func withLoginsInOneDatabase(t *testing.T, server *container.Postgres) (*theatre, *cast) {
	t.Helper()
	return stageLogins(t, server, func(th *theatre, c *cast) {
		th.do(execute(th.config(c.admin), c.document(t, "one-database.sql")))
	})
}

// stageLogins follows the documents, and lets previews into their database.
func stageLogins(t *testing.T, server *container.Postgres, previews func(th *theatre, c *cast)) (*theatre, *cast) {
	t.Helper()
	c := newCast()
	t.Cleanup(func() { c.leave(t, server) }) // after the databases, in which they own things
	th := emptyTheatre(t, server, server)
	c.enter(th)
	previews(th, c)
	th.production().login, th.preview().login = c.production, c.preview
	return th, c
}

func newCast() *cast {
	suffix := "_" + strings.ToLower(rand.Text()[:10])
	named := func(name string) login { return login{name + suffix, rand.Text()} }
	c := &cast{
		logins: "manifests/components/postgres/logins.sql",
		admin:  named("understudy_admin"), owner: named("understudy_owner"), production: named("understudy_production"),
		preview: named("understudy_preview"), newcomer: named("understudy_newcomer"), producer: named("shop_producer"),
	}
	var pairs []string
	for _, who := range c.all() {
		pairs = append(pairs, strings.TrimSuffix(who.name, suffix), who.name)
	}
	c.rename = strings.NewReplacer(pairs...)
	return c
}

// all are the logins, in an order in which they can be dropped.
func (c *cast) all() []login {
	return []login{c.producer, c.newcomer, c.preview, c.production, c.owner, c.admin}
}

// enter follows the documents from an empty database to a producer's login.
func (c *cast) enter(th *theatre) {
	th.t.Helper()
	pl := th.production()
	superuser := th.superuser()
	th.do(execute(superuser, "CREATE ROLE "+c.admin.name+" LOGIN CREATEROLE CREATEDB PASSWORD '"+c.admin.password+"'"))
	th.do(execute(superuser, "ALTER DATABASE "+pgx.Identifier{pl.database}.Sanitize()+" OWNER TO "+c.admin.name))
	admin := th.config(c.admin)
	th.do(execute(admin, c.rename.Replace(document(th.t, c.logins))))
	for _, who := range []login{c.owner, c.production, c.preview} {
		th.do(setPassword(admin, who))
	}
	_, err := th.commandAs(c.owner, "migrate", "up", "--target=production")
	th.do(err)
	producer := strings.ReplaceAll(block(th.t, "CREATE USER shop_producer;"), "DATABASE shop ", "DATABASE "+pgx.Identifier{pl.database}.Sanitize()+" ")
	th.do(execute(admin, c.rename.Replace(producer)))
	th.do(setPassword(admin, c.producer))
}

// makePreviewsDatabase makes it, and has the theatre's previews there.
func (c *cast) makePreviewsDatabase(th *theatre) {
	th.t.Helper()
	for statement := range strings.SplitSeq(c.document(th.t, "preview-database.sql"), "\n\n") { // not in a transaction
		th.do(execute(th.config(c.admin), statement))
	}
	th.places["preview"] = newPlace(th.t, "preview", th.production().server, c.preview.name)
}

func setPassword(as *pgx.ConnConfig, who login) error {
	return execute(as, "ALTER ROLE "+who.name+" PASSWORD '"+who.password+"'")
}

// execute runs statements on a connection of their own.
func execute(as *pgx.ConnConfig, sql string) error {
	ctx := context.Background()
	conn, err := pgx.ConnectConfig(ctx, as)
	if err != nil {
		return err
	}
	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	return errors.Join(err, conn.Close(ctx))
}

// leave drops the previews' database and the logins.
func (c *cast) leave(t *testing.T, server *container.Postgres) {
	config, err := pgx.ParseConfig(server.DSN("postgres"))
	if err != nil {
		t.Error(err)
		return
	}
	statements := []string{"DROP DATABASE IF EXISTS " + c.preview.name + " WITH (FORCE)"}
	for _, who := range c.all() {
		statements = append(statements, "DROP ROLE IF EXISTS "+who.name)
	}
	for _, statement := range statements {
		if err := execute(config, statement); err != nil {
			t.Error(err)
		}
	}
}

// document is one of the SQL files that people run, with the cast's names.
func (c *cast) document(t *testing.T, name string) string {
	t.Helper()
	return c.rename.Replace(document(t, "manifests/components/postgres/"+name))
}

// document is a file of the documentation.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is the block of statements in psql.md that begins so.
func block(t *testing.T, first string) string {
	t.Helper()
	_, rest, found := strings.Cut(document(t, "docs/psql.md"), "```sql\n"+first)
	if !found {
		t.Fatalf("psql.md has no block that begins with %q", first)
	}
	statements, _, _ := strings.Cut(rest, "```")
	return first + statements
}

// superuser is how the server's superuser connects to production's database.
func (th *theatre) superuser() *pgx.ConnConfig { return th.production().pool.Config().ConnConfig }

// config is how a login connects to production's database.
func (th *theatre) config(who login) *pgx.ConnConfig {
	th.t.Helper()
	return th.configOf(th.production(), who)
}

// configOf is how a login connects to a place's database.
func (th *theatre) configOf(pl *place, who login) *pgx.ConnConfig {
	th.t.Helper()
	config, err := pgx.ParseConfig(pl.server.LoginDSN(who.name, who.password, pl.database))
	th.do(err)
	return config
}

// session is a connection of a login's to production's database.
func (th *theatre) session(who login) *pgx.Conn {
	th.t.Helper()
	return th.sessionIn(th.production(), who)
}

// sessionIn is a connection of a login's to a place's database.
func (th *theatre) sessionIn(pl *place, who login) *pgx.Conn {
	th.t.Helper()
	conn, err := pgx.ConnectConfig(th.t.Context(), th.configOf(pl, who))
	th.do(err)
	th.t.Cleanup(func() { _ = conn.Close(context.Background()) }) // may have been terminated
	return conn
}

// commandAs runs a command of the program as a login, and returns what it prints.
func (th *theatre) commandAs(who login, args ...string) (string, error) {
	return th.commandVia(th.production().server, who, args...)
}

// front is what leads to a server.
type front interface {
	LoginDSN(login, password, database string) string
}

// commandVia is commandAs by way of a pooler.
func (th *theatre) commandVia(way front, who login, args ...string) (string, error) {
	out, err := th.commandBy(func(pl *place) string { return way.LoginDSN(who.name, who.password, pl.database) }, args...)
	if err != nil {
		err = fmt.Errorf("as %s: %w", who.name, err)
	}
	return out, err
}
