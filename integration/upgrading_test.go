package integration_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/understudy-worker/understudy/integration/internal/container"
)

// move are the statements of upgrading.md that move previews: what it says of an
// extension that production uses is for such installations only.
type move struct {
	look, drop, rescue, missing, grant, shut string
}

func readMove(t *testing.T, c *cast, database string) (m move) {
	t.Helper()
	text := strings.ReplaceAll(document(t, "docs/upgrading.md"), "DATABASE shop ", "DATABASE "+pgx.Identifier{database}.Sanitize()+" ")
	var all []string
	for part := range strings.SplitSeq(c.rename.Replace(text), "```sql\n") {
		statements, _, _ := strings.Cut(part, "```")
		all = append(all, statements)
	}
	if len(all) != 7 { // and what is before the first
		t.Fatalf("upgrading.md has %d blocks of SQL, want 6", len(all)-1)
	}
	return move{all[1], all[2], all[3], strings.ReplaceAll(all[4], "understudy_(owner|production|preview)", c.owner.name+"|"+c.production.name+"|"+c.preview.name), all[5], all[6]}
}

func TestPreviewsMoveOutOfProductionsDatabaseAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	for name, extended := range map[string]bool{"with an extension that production uses": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := container.Shared(t)
			th, c := withOldLogins(t, server)
			pl := th.production()
			admin := th.config(c.admin)
			m := readMove(t, c, pl.database)
			if extended {
				preview := th.session(c.preview)
				_, err := preview.Exec(t.Context(), "CREATE SCHEMA taken; CREATE EXTENSION citext SCHEMA taken")
				th.do(err)
				th.do(execute(th.superuser(), "CREATE TABLE production.customers (email taken.citext); INSERT INTO production.customers VALUES ('ada@example.com')"))
				th.do(preview.Close(t.Context()))
			}
			a, b := th.start("a", "active"), th.start("b", "preview")
			th.untilServes(a, pl, "active")
			th.untilServes(b, th.preview(), "preview")
			stop := th.produce(40, 31, pl)

			th.moveIn(c)
			th.untilServes(b, th.preview(), "preview")
			th.until("no worker of a preview is left in production's database", func(ctx context.Context) bool {
				var left int
				err := pl.pool.QueryRow(ctx, m.look).Scan(&left)
				return err == nil && left == 0
			})
			err := execute(admin, m.drop)
			if extended {
				if err == nil || !strings.Contains(err.Error(), "other objects depend on") {
					t.Errorf("previews' things are dropped with an extension that production uses: %v", err)
				}
				th.do(execute(admin, m.rescue))
				err = execute(admin, m.drop)
			}
			th.do(err)
			th.isMissing(m, c.producer.name, true)
			th.do(execute(admin, m.grant))
			th.isMissing(m, c.producer.name, false)
			th.do(execute(admin, m.shut))

			th.isLikeANewOne(c)
			th.untilMore(pl, 30)
			stop()
			th.untilDone(pl)
			th.enqueue(th.preview(), "effect", 5, 0)
			th.untilDone(th.preview())
			th.do(pl.terminateAll(t.Context())) // new sessions are let in
			th.enqueue(pl, "effect", 5, 0)
			th.untilDone(pl)
			if count, err := th.customers(); extended && (err != nil || count != 1) {
				t.Errorf("production has %d customers: %v", count, err)
			}
			var charged int
			th.do(pl.pool.QueryRow(t.Context(), "SELECT count(*) FROM production.jobs WHERE kind IN ('note', 'slow') AND (attempt > 1 OR state NOT IN ('completed', 'cancelled'))").Scan(&charged))
			if charged != 0 {
				t.Errorf("%d jobs were charged for the move", charged)
			}
		})
	}
}

// withOldLogins is an installation that was made when previews had no database
// of their own, by the same steps.
func withOldLogins(t *testing.T, server *container.Postgres) (*theatre, *cast) {
	t.Helper()
	c := newCast()
	c.logins = "integration/testdata/logins-one-database.sql"
	t.Cleanup(func() { c.leave(t, server) })
	th := emptyTheatre(t, server, server)
	th.lease = patientLease
	c.enter(th)
	th.do(execute(th.superuser(), "REVOKE CONNECT ON DATABASE "+pgx.Identifier{th.production().database}.Sanitize()+" FROM "+c.producer.name))
	th.production().login, th.preview().login = c.production, c.preview
	return th, c
}

// moveIn makes the previews' database, and has the pods' Secrets lead to it.
func (th *theatre) moveIn(c *cast) {
	th.t.Helper()
	c.makePreviewsDatabase(th)
	th.become(th.preview(), c.preview)
}

// isMissing sees whether the document's query names a login that has no CONNECT.
func (th *theatre) isMissing(m move, login string, want bool) {
	th.t.Helper()
	rows, err := th.production().pool.Query(th.t.Context(), m.missing)
	th.do(err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[pgtype.Text])
	th.do(err)
	found := false
	for _, name := range names {
		found = found || name.String == login
	}
	if found != want {
		th.t.Errorf("%s is among those without CONNECT: %t, want %t: %v", login, found, want, names)
	}
}

// isLikeANewOne sees that who may connect to which database is as in an
// installation that was made with two.
func (th *theatre) isLikeANewOne(c *cast) {
	th.t.Helper()
	for _, may := range []struct {
		pl   *place
		who  login
		want bool
	}{
		{th.production(), c.preview, false}, {th.production(), c.owner, true}, {th.production(), c.production, true}, {th.production(), c.producer, true},
		{th.preview(), c.preview, true}, {th.preview(), c.production, false}, {th.preview(), c.owner, false},
	} {
		var connects bool
		th.do(may.pl.pool.QueryRow(th.t.Context(), "SELECT has_database_privilege($1, current_database(), 'CONNECT')", may.who.name).Scan(&connects))
		if connects != may.want {
			th.t.Errorf("%s may connect to the database of %s: %t, want %t", may.who.name, may.pl.target, connects, may.want)
		}
	}
	var left string
	th.do(th.production().pool.QueryRow(th.t.Context(), `SELECT concat_ws(', ', (SELECT string_agg(nspname, ', ') FROM pg_namespace WHERE nspowner = $1::regrole),
		(SELECT string_agg(extname, ', ') FROM pg_extension WHERE extowner = $1::regrole))`, c.preview.name).Scan(&left))
	if left != "" {
		th.t.Errorf("previews still own %s in production's database", left)
	}
}
