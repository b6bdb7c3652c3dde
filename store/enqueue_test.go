package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// plain is how a job of kind a stands that was enqueued without more.
var plain = store.JobRow{
	Queue: "default", Kind: "a", Args: json.RawMessage(`{}`), State: understudy.StateAvailable, Priority: 1,
	MaxAttempts: 25, Metadata: json.RawMessage(`{}`), Attempts: []store.Attempt{},
}

var ignoreTimes = cmpopts.IgnoreFields(store.JobRow{}, "ID", "ScheduledAt", "CreatedAt")

func TestEnqueueFillsInTheDefaults(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for name, enqueue := range map[string]func() (int64, error){
		"in Go": func() (int64, error) { return f.Enqueue(t.Context(), store.NewJob{Kind: "a"}) },
		"in SQL": func() (int64, error) {
			return get[int64](t, f, "SELECT {schema}.enqueue('a')"), nil
		},
		"in SQL with nulls": func() (int64, error) {
			return get[int64](t, f, "SELECT {schema}.enqueue('a', NULL, NULL, NULL, NULL, NULL, NULL, NULL)"), nil
		},
		"in bulk with nulls": func() (int64, error) {
			return get[int64](t, f, "SELECT ({schema}.enqueue_many('{a}', NULL, '{NULL}', NULL, '{NULL}', '{NULL}', '{}', '{NULL}'))[1]"), nil
		},
	} {
		before := get[time.Time](t, f, "SELECT clock_timestamp()")
		id, err := enqueue()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		row := f.job(t, id)
		if diff := cmp.Diff(plain, row, ignoreTimes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if row.ScheduledAt.Before(before) || !row.CreatedAt.Equal(row.ScheduledAt) {
			t.Errorf("%s: scheduled at %s, created at %s, after %s", name, row.ScheduledAt, row.CreatedAt, before)
		}
	}
}

func TestEnqueueKeepsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	at := time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.FixedZone("east", 0))
	want := store.JobRow{
		Queue: "mail", Kind: "a", Args: json.RawMessage(`{"to": "<you & me>"}`), State: understudy.StateScheduled, Priority: 4,
		ScheduledAt: at.UTC(), MaxAttempts: 3, UniqueKey: "k", Metadata: json.RawMessage(`{"trace": 1}`), Attempts: []store.Attempt{},
	}
	inGo, err := f.Enqueue(t.Context(), store.NewJob{
		Kind: "a", Args: map[string]string{"to": "<you & me>"}, Queue: "mail", Priority: 4, ScheduledAt: at,
		MaxAttempts: 3, UniqueKey: "k", Metadata: json.RawMessage(`{"trace":1}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	ignore := cmpopts.IgnoreFields(store.JobRow{}, "ID", "CreatedAt")
	if diff := cmp.Diff(want, f.job(t, inGo), ignore); diff != "" {
		t.Errorf("in Go (-want +got):\n%s", diff)
	}
	want.UniqueKey = "other"
	inSQL := get[int64](t, f, `SELECT {schema}.enqueue(kind => 'a', args => '{"to": "<you & me>"}', queue => 'mail', priority => 4,
		scheduled_at => '9999-12-31 23:59:59.999999Z', max_attempts => 3, unique_key => 'other', metadata => '{"trace": 1}')`)
	if diff := cmp.Diff(want, f.job(t, inSQL), ignore); diff != "" {
		t.Errorf("in SQL (-want +got):\n%s", diff)
	}
}

func TestAJobOfTheYear9999IsJSONInEveryZone(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	id := f.enqueue(t, store.NewJob{Kind: "a", ScheduledAt: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)})[0]
	row := f.job(t, id)
	if row.ScheduledAt.Location() != time.UTC {
		t.Errorf("the time is in zone %s", row.ScheduledAt.Location())
	}
	if _, err := json.Marshal(row); err != nil {
		t.Error(err)
	}
}

func TestEnqueueTxIsPartOfItsTransaction(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	for _, commit := range []bool{false, true} {
		tx := f.begin(t)
		one, err := f.EnqueueTx(t.Context(), tx, store.NewJob{Kind: "a"})
		if err != nil {
			t.Fatal(err)
		}
		more, err := f.EnqueueManyTx(t.Context(), tx, []store.NewJob{{Kind: "a"}, {Kind: "a"}})
		if err != nil {
			t.Fatal(err)
		}
		if jobs := claim(t, q, 10, "a"); len(jobs) != 0 {
			t.Fatalf("claimed %v before the commit", idsOf(jobs))
		}
		if !commit {
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if jobs := claim(t, q, 10, "a"); len(jobs) != 0 {
				t.Fatalf("claimed %v after the rollback", idsOf(jobs))
			}
			continue
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		held(t, q, append([]int64{one}, more...), "a")
	}
}

func TestARefusedJobAbortsItsTransactionOnly(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	err := pgx.BeginFunc(t.Context(), f.pool, func(tx pgx.Tx) error {
		if _, err := f.EnqueueTx(t.Context(), tx, store.NewJob{Kind: "a"}); err != nil {
			return err
		}
		// Refused before it is sent: the transaction goes on.
		if _, err := f.EnqueueTx(t.Context(), tx, store.NewJob{Kind: ""}); err == nil {
			return errors.New("an empty kind was enqueued")
		}
		_, err := f.EnqueueTx(t.Context(), tx, store.NewJob{Kind: "b"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs"); n != 2 {
		t.Errorf("%d jobs, want 2", n)
	}
}

func TestEnqueueInAnUnmigratedSchemaSaysWhatToRun(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	s, err := store.New(f.pool, "no_such_schema")
	if err != nil {
		t.Fatal(err)
	}
	for what, call := range map[string]func() error{
		"enqueue": func() error { _, err := s.Enqueue(t.Context(), store.NewJob{Kind: "a"}); return err },
		"list":    func() error { _, err := s.Jobs(t.Context(), store.Filter{}); return err },
		"counts":  func() error { _, err := s.Counts(t.Context()); return err },
		"cancel":  func() error { _, err := s.Cancel(t.Context(), 1); return err },
	} {
		err := call()
		wantError(t, err, `in schema "no_such_schema": migrate the schema first: understudy migrate up`)
		if t.Failed() {
			t.Fatal(what)
		}
	}
}

func TestASchemaNameMustBeOneThatPostgresKeeps(t *testing.T) {
	t.Parallel()
	config := pgtest.Pool(t).Config().ConnConfig
	for _, name := range []string{"", strings.Repeat("x", 64), "a\x00b"} {
		_, err := store.New(nil, name)
		wantError(t, err, fmt.Sprintf("schema %q: use a name of 1 to 63 bytes", name))
		wantError(t, store.Migrate(t.Context(), config, store.MigrateOptions{Schema: name}), "use a name of 1 to 63 bytes")
	}
}
