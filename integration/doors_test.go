package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy/store"
)

// hall is where the doors are through which jobs get into production. Doors
// that take several jobs at once get others around the one in question.
type hall struct {
	t      *testing.T
	th     *theatre
	place  *place
	kind   string // of all jobs that have no other
	around int    // how many lines come before a line, and after it
}

func newHall(t *testing.T, th *theatre, kind string, around int) *hall {
	return &hall{t: t, th: th, place: th.production(), kind: kind, around: around}
}

// The languages in which doors are spoken to.
const (
	inGo    = "Go"
	inSQL   = "SQL"
	inShell = "shell"
)

// door is a way to enqueue a job.
type door struct {
	name, language string
	// enter returns the ids of the job and of those around it.
	enter func(h *hall, ctx context.Context, in input) ([]int64, error)
}

var doors = []door{
	{"Enqueue", inGo, (*hall).enqueue},
	{"EnqueueTx", inGo, (*hall).enqueueTx},
	{"EnqueueMany", inGo, (*hall).enqueueMany},
	{"enqueue()", inSQL, (*hall).callEnqueue},
	{"enqueue_many()", inSQL, (*hall).callEnqueueMany},
	{"enqueue KIND ARGS", inShell, (*hall).command},
	{"enqueue KIND -", inShell, (*hall).lines},
}

// errUnsayable says that a door's language has no words for an input.
var errUnsayable = errors.New("cannot be said at this door")

// maxRefusal is how long a refusal may be: to read, not to scroll through.
const maxRefusal = 2100

// refuses tries a door that must not open, and must say why.
func (h *hall) refuses(d door, in input, want said) {
	h.t.Helper()
	ids, err := d.enter(h, h.t.Context(), in)
	if errors.Is(err, errUnsayable) {
		return
	}
	text, ok := want[d.language]
	if !ok {
		text = want[""]
	}
	switch {
	case err == nil:
		h.t.Errorf("%s took it, as %v", d.name, ids)
	case text == "" || !strings.Contains(err.Error(), text):
		h.t.Errorf("%s refuses it with %.500q, want %q", d.name, err, text)
	case strings.Contains(err.Error(), "\n") || len(err.Error()) > maxRefusal && !fromPostgres(err):
		h.t.Errorf("%s refuses it with %d bytes on %d lines: %.500q", d.name, len(err.Error()), 1+strings.Count(err.Error(), "\n"), err)
	}
}

// fromPostgres says whether Postgres itself refused, which repeats what it was
// told at any length.
func fromPostgres(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && !strings.HasPrefix(refusal.Message, "enqueue: ")
}

// takes enters by a door that must open, notes what it took, and returns the
// job in question; none where there are no words for it.
func (h *hall) takes(d door, in input) []int64 {
	h.t.Helper()
	ids, err := d.enter(h, h.t.Context(), in)
	if errors.Is(err, errUnsayable) {
		return nil
	}
	if err != nil || len(ids) == 0 {
		h.t.Fatalf("%s took %d jobs of %.200q, error %.500v", d.name, len(ids), in, err)
	}
	h.place.acknowledged(ids...)
	return ids[len(ids)/2 : len(ids)/2+1]
}

// job is the input in Go, where a zero value means the default.
func (h *hall) job(in input) (job store.NewJob, err error) {
	job = store.NewJob{Kind: h.kind}
	for name, text := range in {
		if text == "" && name != "kind" {
			return job, errUnsayable
		}
		switch name {
		case "kind":
			job.Kind = text
		case "args":
			job.Args = json.RawMessage(text)
		case "metadata":
			job.Metadata = json.RawMessage(text)
		case "queue":
			job.Queue = text
		case "unique_key":
			job.UniqueKey = text
		case "priority":
			job.Priority, err = strconv.Atoi(text)
		case "max_attempts":
			job.MaxAttempts, err = strconv.Atoi(text)
		case "scheduled_at":
			job.ScheduledAt, err = moment(text)
		}
		if err != nil || text == "0" {
			return job, errUnsayable
		}
	}
	return job, nil
}

// moment is a time of any year.
func moment(text string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	var year int
	_, err := fmt.Sscanf(text, "%d-01-01T00:00:00Z", &year)
	return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), err
}

func (h *hall) enqueue(ctx context.Context, in input) ([]int64, error) {
	job, err := h.job(in)
	if err != nil {
		return nil, err
	}
	id, err := h.place.jobs.Enqueue(ctx, job)
	return []int64{id}, err
}

// enqueueTx enqueues the job in a transaction, which a refusal does not break.
func (h *hall) enqueueTx(ctx context.Context, in input) ([]int64, error) {
	job, err := h.job(in)
	if err != nil {
		return nil, err
	}
	var id, next int64
	var refusal error
	err = pgx.BeginFunc(ctx, h.place.pool, func(tx pgx.Tx) (err error) {
		id, refusal = h.place.jobs.EnqueueTx(ctx, tx, job)
		next, err = h.place.jobs.EnqueueTx(ctx, tx, store.NewJob{Kind: "note"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the transaction of %w with the next job: %w", refusal, err)
	}
	h.place.acknowledged(next)
	return []int64{id}, refusal
}

func (h *hall) enqueueMany(ctx context.Context, in input) ([]int64, error) {
	job, err := h.job(in)
	if err != nil {
		return nil, err
	}
	return h.place.jobs.EnqueueMany(ctx, []store.NewJob{{Kind: h.kind}, job, {Kind: h.kind}})
}

// parameter is one parameter of enqueue(), and how the others call it.
type parameter struct{ name, kind, plural, flag string }

var parameters = []parameter{
	{"kind", "text", "kinds", ""},
	{"args", "jsonb", "args", ""},
	{"queue", "text", "queues", "--queue"},
	{"priority", "int", "priorities", "--priority"},
	{"scheduled_at", "timestamptz", "scheduled_ats", "--scheduled-at"},
	{"max_attempts", "int", "max_attempts", "--max-attempts"},
	{"unique_key", "text", "unique_keys", "--unique-key"},
	{"metadata", "jsonb", "metadata", ""},
}

// callEnqueue calls the function as any client does that sends text.
func (h *hall) callEnqueue(ctx context.Context, in input) ([]int64, error) {
	sql, args := h.call("enqueue", in, func(p parameter, place int) string {
		return fmt.Sprintf("%s => $%d::text::%s", p.name, place, p.kind)
	})
	var id int64
	err := h.place.pool.QueryRow(ctx, sql, args...).Scan(&id)
	return []int64{id}, err
}

// callEnqueueMany is the same with a job before and one after.
func (h *hall) callEnqueueMany(ctx context.Context, in input) ([]int64, error) {
	sql, args := h.call("enqueue_many", in, func(p parameter, place int) string {
		around := "NULL"
		if p.name == "kind" {
			around = "'" + h.kind + "'"
		}
		return fmt.Sprintf("%s => ARRAY[%s, $%d::text::%s, %[2]s]::%[4]s[]", p.plural, around, place, p.kind)
	})
	var ids []int64
	err := h.place.pool.QueryRow(ctx, sql, args...).Scan(&ids)
	return ids, err
}

// call is the call of a function with the input's parameters.
func (h *hall) call(function string, in input, argument func(p parameter, place int) string) (sql string, values []any) {
	var arguments []string
	for _, p := range parameters {
		text, given := in[p.name]
		if !given && p.name == "kind" {
			text, given = h.kind, true
		}
		if given {
			values = append(values, text)
			arguments = append(arguments, argument(p, len(values)))
		}
	}
	return h.place.sql("SELECT {schema}." + function + "(" + strings.Join(arguments, ", ") + ")"), values
}

// acknowledged notes jobs that the server has acknowledged.
func (pl *place) acknowledged(ids ...int64) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.enqueued = append(pl.enqueued, ids...)
}
