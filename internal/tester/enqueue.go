package tester

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy/internal/web"
	"github.com/understudy-worker/understudy/store"
)

const (
	// maxCount is how many jobs one request enqueues at the most.
	maxCount = 10_000
	// maxOrderBytes is what a request may have: a job's args, escaped.
	maxOrderBytes = 4 << 20
	// maxArgsBytes bounds the arguments of all jobs of one request together.
	maxArgsBytes = 16 << 20
	// enqueueTimeout bounds how long a request waits for the database.
	enqueueTimeout = 20 * time.Second
)

// order is what POST /enqueue asks for.
type order struct {
	side  *Side
	job   store.NewJob
	count int
}

// receipt is what it answers a program, and what the page says then.
type receipt struct {
	Side  string `json:"side"`
	Count int    `json:"count"`
	First int64  `json:"first"` // ids of the first and of the last job
	Last  int64  `json:"last"`
	// The same as texts: JavaScript keeps no number beyond 2^53.
	FirstText string `json:"first_text"`
	LastText  string `json:"last_text"`
}

func newReceipt(side string, count int, first, last int64) receipt {
	return receipt{side, count, first, last, strconv.FormatInt(first, 10), strconv.FormatInt(last, 10)}
}

// enqueue enqueues jobs of one kind into one side.
func (t *Tester) enqueue(w http.ResponseWriter, r *http.Request) {
	if !web.ReadForm(w, r) {
		return
	}
	o, err := t.readOrder(r.PostForm)
	if err != nil {
		web.Refuse(w, r, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), enqueueTimeout)
	defer cancel()
	done, err := o.carryOut(ctx)
	if err != nil {
		t.refuse(w, r, o.side, err)
		return
	}
	t.live.Wake()
	if web.WantsPage(r) {
		http.Redirect(w, r, "/?"+done.query(), http.StatusSeeOther)
		return
	}
	web.JSON(w, r, t.Log, http.StatusCreated, done)
}

// carryOut enqueues the jobs, all or none.
func (o *order) carryOut(ctx context.Context) (receipt, error) {
	place, err := o.side.Find(ctx)
	var ids []int64
	if err == nil {
		ids, err = place.Store.EnqueueMany(ctx, slices.Repeat([]store.NewJob{o.job}, o.count))
	}
	var refusal *store.Refusal
	switch {
	case err == nil:
		return newReceipt(o.side.Name, len(ids), ids[0], ids[len(ids)-1]), nil
	case errors.As(err, &refusal):
		return receipt{}, err
	}
	return receipt{}, &enqueueError{trouble: o.side.trouble(place, err, enqueueTimeout), nothing: nothingDone(err), err: err}
}

// enqueueError is a failure to enqueue.
type enqueueError struct {
	trouble *Trouble
	nothing bool // it is certain that nothing was enqueued
	err     error
}

func (e *enqueueError) Unwrap() error { return e.err }

func (e *enqueueError) Error() string {
	if e.nothing {
		return "Nothing was enqueued. " + e.trouble.Error()
	}
	return "Whether the jobs are enqueued is not known. " + e.trouble.Error()
}

// nothingDone says whether an error came before anything could be committed.
func nothingDone(err error) bool {
	var trouble *Trouble
	var connect *pgconn.ConnectError
	var answer *pgconn.PgError
	return errors.As(err, &trouble) || errors.As(err, &connect) || errors.As(err, &answer) || pgconn.SafeToRetry(err)
}

// refuse says why nothing was enqueued: the request's fault, or the side's.
func (t *Tester) refuse(w http.ResponseWriter, r *http.Request, side *Side, err error) {
	var refusal *store.Refusal
	if errors.As(err, &refusal) && refusal.Code == pgerrcode.InvalidParameterValue {
		web.Refuse(w, r, http.StatusBadRequest, refusal.Message)
		return
	}
	t.Log.Warn("enqueue", "side", side.Name, "err", err)
	web.Refuse(w, r, http.StatusServiceUnavailable, err.Error())
}

// readOrder reads what a form asks for. Its errors say what to write instead.
func (t *Tester) readOrder(form url.Values) (*order, error) {
	side, err := t.side(form.Get("side"))
	if err != nil {
		return nil, err
	}
	count, err := readCount(form.Get("count"))
	if err != nil {
		return nil, err
	}
	args, err := readArgs(form.Get("args"))
	if err != nil {
		return nil, err
	}
	if total := len(args) * count; total > maxArgsBytes {
		return nil, fmt.Errorf("args of %d bytes for %d jobs are %d bytes: at most %d go into one request", len(args), count, total, maxArgsBytes)
	}
	kind := strings.TrimSpace(form.Get("kind"))
	if kind == "" {
		return nil, errors.New("kind is empty: name the handler that is to work the jobs, such as echo")
	}
	return &order{side: side, job: store.NewJob{Kind: kind, Args: args, Queue: t.Queue}, count: count}, nil
}

// side is the side of that name.
func (t *Tester) side(name string) (*Side, error) {
	for i := range t.Sides {
		if t.Sides[i].Name == name {
			return &t.Sides[i], nil
		}
	}
	return nil, fmt.Errorf("side %s is unknown: use %s or %s", quote(name), t.Sides[0].Name, t.Sides[1].Name)
}

func readCount(text string) (int, error) {
	if text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff")); text == "" {
		return 1, nil
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 1 || count > maxCount {
		return 0, fmt.Errorf("count %s: use a whole number from 1 to %d", quote(text), maxCount)
	}
	return count, nil
}

// readArgs reads a JSON object; the store checks what JSON it keeps.
func readArgs(text string) (json.RawMessage, error) {
	if text = strings.TrimSpace(text); text == "" {
		return json.RawMessage("{}"), nil
	}
	if err := json.Unmarshal([]byte(text), &map[string]json.RawMessage{}); err != nil || text == "null" {
		return nil, errors.New(`args are not a JSON object: write them like {"seconds": 5}, or leave them out`)
	}
	return json.RawMessage(text), nil
}

// quote is what somebody wrote, short enough to be read back.
func quote(text string) string {
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	return strconv.Quote(text)
}

// query is the receipt in the address of the page that is shown then.
func (r receipt) query() string {
	return url.Values{
		"side": {r.Side}, "count": {strconv.Itoa(r.Count)},
		"first": {strconv.FormatInt(r.First, 10)}, "last": {strconv.FormatInt(r.Last, 10)},
	}.Encode()
}

// readReceipt reads it back, nil if there is none: only numbers and a side's
// name are, so that no link can make the page say anything else.
func (t *Tester) readReceipt(query url.Values) *receipt {
	side, err := t.side(query.Get("side"))
	if err != nil {
		return nil
	}
	count, err := readCount(query.Get("count"))
	if err != nil {
		return nil
	}
	first, err := strconv.ParseInt(query.Get("first"), 10, 64)
	if err != nil {
		return nil
	}
	last, err := strconv.ParseInt(query.Get("last"), 10, 64)
	if err != nil {
		return nil
	}
	done := newReceipt(side.Name, count, first, last)
	return &done
}
