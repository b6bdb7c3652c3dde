package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/pgtest"
)

// pair is a primary and its hot standby.
func pair(t *testing.T) (primary, standby string) {
	t.Helper()
	server := pgtest.Server(t)
	return server.DSN("postgres"), pgtest.Replica(t, server).DSN("postgres")
}

func parse(t *testing.T, dsn string) *pgx.ConnConfig {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestOfSeveralHostsThePrimaryIsTakenWhateverTheDSNAsksFor(t *testing.T) {
	t.Parallel()
	primary, standby := pair(t)
	p, s := parse(t, primary), parse(t, standby)
	for _, attrs := range []string{"", "any", "read-write", "primary", "prefer-standby", "standby", "read-only"} {
		for _, order := range [][2]*pgx.ConnConfig{{p, s}, {s, p}} {
			config := parse(t, fmt.Sprintf("host=%s,%s port=%d,%d user=%s password=%s dbname=postgres sslmode=disable",
				order[0].Host, order[1].Host, order[0].Port, order[1].Port, p.User, p.Password))
			if attrs != "" {
				config = parse(t, config.ConnString()+" target_session_attrs="+attrs)
			}
			RefuseStandby(config)
			conn, err := pgx.ConnectConfig(t.Context(), config)
			if attrs == "standby" || attrs == "read-only" {
				if !errors.Is(err, ErrStandby) {
					t.Errorf("%s: %v, want that the server is a standby", attrs, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%q, ports %d, %d: %v", attrs, order[0].Port, order[1].Port, err)
				continue
			}
			if _, err := conn.Exec(t.Context(), "CREATE TEMP TABLE written ()"); err != nil {
				t.Errorf("%q: %v", attrs, err)
			}
			_ = conn.Close(t.Context())
		}
	}
}

// oblivious is a connection through a pooler that repeats what it knew of another
// server: nothing tells a standby.
type oblivious struct{ net.Conn }

func (o oblivious) Read(into []byte) (int, error) {
	n, err := o.Conn.Read(into)
	copy(into, bytes.ReplaceAll(into[:n], []byte("in_hot_standby"), []byte("in_some_pooler")))
	return n, err
}

// watched is a pool of one connection that is watched.
func watched(t *testing.T, dsn string, pooler bool) (Env, *standbys) {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	s := &standbys{}
	s.watch(config)
	if config.MaxConns = 1; pooler {
		dial := config.ConnConfig.DialFunc
		config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return oblivious{conn}, err
		}
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return Env{Pool: pool, met: s}, s
}

func (e Env) session(t *testing.T) (pid int) {
	t.Helper()
	if err := e.Pool.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestASessionOnWhichAWriteMetAStandbyIsClosed(t *testing.T) {
	t.Parallel()
	_, standby := pair(t)
	for name, fail := range map[string]func(ctx context.Context, pool *pgxpool.Pool) error{
		"a write": func(ctx context.Context, pool *pgxpool.Pool) error {
			_, err := pool.Exec(ctx, "CREATE TABLE written ()")
			return err
		},
		"a serializable transaction": func(ctx context.Context, pool *pgxpool.Pool) error {
			return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(pgx.Tx) error { return nil })
		},
		"what needs the WAL": func(ctx context.Context, pool *pgxpool.Pool) error {
			_, err := pool.Exec(ctx, "SELECT pg_current_wal_lsn()")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, _ := watched(t, standby, true)
			before, began := env.session(t), time.Now()
			err := fail(t.Context(), env.Pool)
			if err == nil {
				t.Fatal("it did not fail")
			}
			if !env.MetStandby(t.Context(), began, errors.New(err.Error())) {
				t.Errorf("%v: a standby is not found to be to blame", err)
			}
			if env.session(t) == before {
				t.Errorf("%v: the session is kept", err)
			}
		})
	}
}

func TestAReadOnlyTransactionOfAHandlersOwnIsNoStandby(t *testing.T) {
	t.Parallel()
	env, _ := watched(t, pgtest.DSN(t), false)
	before, began := env.session(t), time.Now()
	err := pgx.BeginTxFunc(t.Context(), env.Pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "CREATE TABLE written ()")
		return err
	})
	if err == nil {
		t.Fatal("it did not fail")
	}
	if env.MetStandby(t.Context(), began, err) {
		t.Errorf("%v: a standby is blamed", err)
	}
	if env.session(t) != before {
		t.Errorf("%v: the session was closed", err)
	}
}

func TestAStandbyIsToBlameUntilThereIsAConnectionAgain(t *testing.T) {
	t.Parallel()
	primary, standby := pair(t)
	name := pgtest.NewName(t)
	dsn := name.Lead(t, standby)
	env, _ := watched(t, dsn, false)
	began := time.Now()
	err := env.Pool.Ping(t.Context())
	if !errors.Is(err, ErrStandby) {
		t.Fatalf("connected to a standby: %v", err)
	}
	if text := errors.New(err.Error()); !env.MetStandby(t.Context(), began, text) || env.MetStandby(t.Context(), time.Now(), text) {
		t.Error("whoever began before is to be excused, and nobody who began after")
	}
	name.Lead(t, primary)
	if err := env.Pool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if env.MetStandby(t.Context(), began, errors.New("another")) {
		t.Error("what fails later is blamed on the standby of before")
	}
}
