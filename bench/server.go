package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/pgserver"
)

// ownApplication is the application_name of this process's connections.
const ownApplication = "bench"

// serverSettings are those of the temporary server, whichever system is
// measured. Commits are synced, as they are by default; a checkpoint comes
// before every run and not into some of them.
var serverSettings = map[string]string{
	"fsync":              "on",
	"synchronous_commit": "on",
	"full_page_writes":   "on",
	"autovacuum":         "on",
	"shared_buffers":     "1GB",
	"min_wal_size":       "4GB",
	"max_wal_size":       "8GB",
	"checkpoint_timeout": "30min",
	"max_connections":    "300",
}

// reportedSettings are read from the server, so that a report says what was so.
var reportedSettings = []string{
	"server_version", "shared_buffers", "max_wal_size", "checkpoint_timeout", "fsync", "synchronous_commit",
	"full_page_writes", "wal_sync_method", "autovacuum",
}

// server is the Postgres server that is measured on.
type server struct {
	dsn   string
	admin *pgxpool.Pool
	name  string // that all names of its databases begin with
	made  int    // databases so far
	stop  func() error
}

// startServer starts a temporary server, or takes the one that the DSN names.
func startServer(ctx context.Context, dsn string) (*server, error) {
	s := &server{dsn: dsn, name: "bench_" + strings.ToLower(rand.Text()[:8]), stop: func() error { return nil }}
	if dsn == "" {
		temporary, err := pgserver.Start(ctx, pgserver.Options{Settings: serverSettings})
		if err != nil {
			return nil, err
		}
		s.dsn, s.stop = temporary.DSN("postgres"), temporary.Stop
	}
	var err error
	if s.admin, err = pool(ctx, s.dsn, 2, ownApplication); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// close ends the server if it is a temporary one.
func (s *server) close() error {
	s.admin.Close()
	return s.stop()
}

// settings are those that decide figures.
func (s *server) settings(ctx context.Context) (map[string]string, error) {
	settings := map[string]string{}
	for _, name := range reportedSettings {
		var value string
		if err := s.admin.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return nil, fmt.Errorf("read the server's settings: %w", err)
		}
		settings[name] = value
	}
	return settings, nil
}

// database is the database of one run.
type database struct {
	name  string
	dsn   string
	pool  *pgxpool.Pool // this process's own, for looking
	admin *pgxpool.Pool
}

// database makes a new one, with the system's tables.
func (s *server) database(ctx context.Context, of system) (*database, error) {
	s.made++
	d := &database{name: fmt.Sprintf("%s_%s_%d", s.name, of.key, s.made), admin: s.admin}
	if err := d.create(ctx, s.dsn, of); err != nil {
		return nil, errors.Join(fmt.Errorf("make a database for %s: %w", of.title, err), d.drop())
	}
	return d, nil
}

func (d *database) create(ctx context.Context, dsn string, of system) (err error) {
	if _, err := d.admin.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{d.name}.Sanitize()); err != nil {
		return err
	}
	if d.dsn, err = onDatabase(dsn, d.name); err != nil {
		return err
	}
	if d.pool, err = pool(ctx, d.dsn, 4, ownApplication); err != nil {
		return err
	}
	return of.migrate(ctx, d.pool)
}

// dropPatience bounds the dropping of a database, which goes on when a run was
// interrupted.
const dropPatience = time.Minute

// drop removes the database, whoever is still connected.
func (d *database) drop() error {
	if d.pool != nil {
		d.pool.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), dropPatience)
	defer cancel()
	if _, err := d.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{d.name}.Sanitize()+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database %s: %w", d.name, err)
	}
	return nil
}

// settle leaves nothing to be done later for what was written so far.
func (d *database) settle(ctx context.Context) error {
	for _, statement := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
		if _, err := d.pool.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// fill enqueues jobs with the numbers from first on, through a pool that is
// closed when it is done.
func (d *database) fill(ctx context.Context, of system, first, jobs int) error {
	db, err := pool(ctx, d.dsn, 1, ownApplication)
	if err != nil {
		return err
	}
	defer db.Close()
	p, err := of.open(db)
	if err != nil {
		return err
	}
	for end := first + jobs; first < end; first += fillBatch {
		if err := p.bulk(ctx, newBatch(first, min(fillBatch, end-first))); err != nil {
			return fmt.Errorf("enqueue for %s: %w", of.title, err)
		}
	}
	return nil
}

// fillBatch is as many jobs as gue can enqueue in one statement, about.
const fillBatch = 5_000

// logf writes a line of progress.
func logf(log io.Writer, format string, args ...any) { fmt.Fprintf(log, format+"\n", args...) }
