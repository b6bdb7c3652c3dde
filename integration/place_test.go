package integration_test

import (
	"context"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/integration/internal/container"
	"github.com/understudy-worker/understudy/integration/internal/history"
	"github.com/understudy-worker/understudy/internal/pause"
	"github.com/understudy-worker/understudy/store"
)

// place is a target: a schema on a server. The test has a way to it that no
// fault of the pods' wires touches.
type place struct {
	target, schema string
	roles          []string // those that map to it
	server         *container.Postgres
	database       string
	login          login  // of the workers
	front          string // where the workers' wires lead
	pool           *pgxpool.Pool
	jobs           *store.Store

	mu       sync.Mutex
	enqueued []int64 // acknowledged
	crashed  []history.Interval
	cut      []history.Interval
}

// login is who logs in to Postgres.
type login struct{ name, password string }

// newPlace is the place of a target in a database of a server.
func newPlace(t testing.TB, target string, server *container.Postgres, database string) *place {
	t.Helper()
	return newPlaceIn(t, target, target, server, database)
}

// newPlaceIn is the same in a schema of another name.
func newPlaceIn(t testing.TB, target, schema string, server *container.Postgres, database string) *place {
	t.Helper()
	pl := &place{target: target, schema: schema, server: server, database: database, front: server.Address()}
	pl.roles = map[string][]string{"production": {"active", "stable"}, "preview": {"preview", "canary"}}[target]
	admin := server.DSN(database)
	var err error
	if pl.pool, err = pgxpool.New(t.Context(), admin+"&pool_max_conns=4&connect_timeout=30"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pl.pool.Close)
	if pl.jobs, err = store.New(pl.pool, pl.schema); err != nil {
		t.Fatal(err)
	}
	config := pl.pool.Config().ConnConfig
	pl.login = login{config.User, config.Password}
	return pl
}

// name is the place as the ledger calls it.
func (pl *place) name() string { return history.PlaceName(pl.target, pl.schema) }

// dsn is the workers' DSN over a wire.
func (pl *place) dsn(address, application string) string {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	dsn := url.URL{
		Scheme: "postgres", User: url.UserPassword(pl.login.name, pl.login.password), Host: address, Path: "/" + pl.database,
		RawQuery: url.Values{"sslmode": {"disable"}, "application_name": {application}}.Encode(),
	}
	return dsn.String()
}

// sql puts the place's quoted schema for {schema}.
func (pl *place) sql(text string) string {
	return replaceSchema(text, pgx.Identifier{pl.schema}.Sanitize())
}

// enqueue puts jobs into the place and notes those that the server has
// acknowledged: from then on none of them may be lost.
func (pl *place) enqueue(ctx context.Context, jobs ...store.NewJob) error {
	ids, err := pl.jobs.EnqueueMany(ctx, jobs)
	if err != nil {
		return err
	}
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.enqueued = append(pl.enqueued, ids...)
	return nil
}

// unfinished counts the jobs that are not finished. A schema that nobody has
// made yet has none.
func (pl *place) unfinished(ctx context.Context) (count int, err error) {
	if exists, err := pl.exists(ctx); err != nil || !exists {
		return 0, err
	}
	err = pl.pool.QueryRow(ctx, pl.sql("SELECT count(*) FROM {schema}.open_jobs")).Scan(&count)
	return count, err
}

// exists says whether the schema is there.
func (pl *place) exists(ctx context.Context) (exists bool, err error) {
	err = pl.pool.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", pl.sql("{schema}.open_jobs")).Scan(&exists)
	return exists, err
}

// broken notes that pods could not reach the server, or not always, or not in
// time, and whether it crashed.
func (pl *place) broken(when history.Interval, crashed bool) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.cut = append(pl.cut, when)
	if crashed {
		pl.crashed = append(pl.crashed, when)
	}
}

// slowAnswer is how long a server that is well takes to answer, and slowLogin how
// long to let somebody in. Where they take longer, or this process has to wait so
// long for a processor, machine or server are too busy for a worker to keep its lease.
const (
	slowAnswer = 500 * time.Millisecond
	slowLogin  = time.Second
)

// watch notes when the server is slow, until ctx ends. Whatever is broken is noted
// by who breaks it.
func (pl *place) watch(ctx context.Context) {
	const pauses, between = 200 * time.Millisecond, 10
	login := pl.pool.Config().ConnConfig
	for n := 0; ctx.Err() == nil; n++ {
		pl.noteIfSlow(pauses+slowAnswer, func() { _ = pause.For(ctx, pauses) })
		pl.noteIfSlow(slowAnswer, func() { _, _ = pl.pool.Exec(ctx, "SELECT") })
		if n%between == 0 {
			pl.noteIfSlow(slowLogin, func() {
				if conn, err := pgx.ConnectConfig(ctx, login); err == nil {
					_ = conn.Close(ctx)
				}
			})
		}
	}
}

// noteIfSlow notes that pods may not have reached the server in time if something
// takes longer than it should.
func (pl *place) noteIfSlow(limit time.Duration, do func()) {
	begun := time.Now()
	do()
	if time.Since(begun) > limit {
		pl.broken(history.Interval{From: begun, To: time.Now()}, false)
	}
}

// wasSlow says whether pods could not always reach the server in time.
func (pl *place) wasSlow() bool {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	return len(pl.cut) > 0
}

// record is what the history says of the place.
func (pl *place) record(ctx context.Context) (*history.Place, error) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	p := &history.Place{
		Name: pl.name(), Schema: pl.schema, Roles: map[string]bool{},
		Enqueued: slices.Clone(pl.enqueued), Crashed: slices.Clone(pl.crashed), Cut: slices.Clone(pl.cut),
	}
	for _, role := range pl.roles {
		p.Roles[role] = true
	}
	if exists, err := pl.exists(ctx); err != nil || !exists {
		return p, err
	}
	if err := p.Read(ctx, pl.pool); err != nil {
		return nil, err
	}
	var err error
	p.Offset, p.Uncertainty, err = history.MeasureClock(ctx, pl.pool)
	return p, err
}
