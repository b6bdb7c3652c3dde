package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/understudy-worker/understudy"
)

// errServer is what a fakeQueue's server says when a test makes it fail.
var errServer = errors.New("the server is gone")

// fakeQueue is a schema's queue in memory. It fences and counts as a schema
// does, and a test can make its calls slow, fail, or lose their reply.
type fakeQueue struct {
	// before is called ahead of every call, without a lock: it may wait. An
	// error is the call's, which then does nothing.
	before func(ctx context.Context, call string) error
	// reply is called after every call: an error is a lost reply.
	reply func(call string) error
	// answer is called before a claim is answered, without a lock: it may wait.
	answer func(ctx context.Context)
	// others says whether a claim leaves jobs that other workers are at.
	others func() bool
	// refuse says how Record is to treat an outcome that it would write.
	refuse func(understudy.Outcome) (deferred bool, rejected error)

	anyKind       bool // claims bring jobs of every kind
	lease         time.Duration
	wakes, cancel chan struct{}

	mu         sync.Mutex
	rows       map[int64]*fakeRow
	list       []*fakeRow // in the order of their ids
	epoch      string
	state      string
	leaseUntil time.Time
	number     int64
	unknown    map[int64]bool // claims whose reply was lost
	calls      []fakeCall
	batches    [][]understudy.Outcome // as they were sent to Record
	written    []understudy.Outcome
	fenced     []understudy.Outcome
}

// fakeRow is a job as the database keeps it.
type fakeRow struct {
	job       understudy.Job
	state     understudy.State
	requeues  int
	claim     int64
	cancelled bool // was requested
	err       string
	result    string
	doneAt    time.Time
}

// fakeCall is a call that was made, when, and for what.
type fakeCall struct {
	name    string
	at      time.Time
	request understudy.ClaimRequest
	drain   bool
}

func newFakeQueue() *fakeQueue {
	return &fakeQueue{
		before: func(context.Context, string) error { return nil },
		reply:  func(string) error { return nil },
		answer: func(context.Context) {},
		others: func() bool { return false },
		refuse: func(understudy.Outcome) (bool, error) { return false, nil },
		lease:  30 * time.Second,
		epoch:  "epoch",
		wakes:  make(chan struct{}, 1), cancel: make(chan struct{}, 1),
		rows: map[int64]*fakeRow{}, unknown: map[int64]bool{},
	}
}

// enqueue adds n jobs that are due, and returns the id of the first.
func (q *fakeQueue) enqueue(n int) int64 {
	return q.enqueueJobs(n, understudy.Job{Kind: "work", Queue: "default", MaxAttempts: 25})
}

func (q *fakeQueue) enqueueJobs(n int, like understudy.Job) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := int64(len(q.rows) + 1)
	for i := range n {
		job := like
		job.ID = first + int64(i)
		if job.ScheduledAt.IsZero() {
			job.ScheduledAt = time.Now()
		}
		state := understudy.StateAvailable
		if job.ScheduledAt.After(time.Now()) {
			state = understudy.StateScheduled
		}
		row := &fakeRow{job: job, state: state}
		q.rows[job.ID] = row
		q.list = append(q.list, row)
	}
	return first
}

// notify does what a NOTIFY does.
func (q *fakeQueue) notify() { nudge(q.wakes) }

// requestCancel does what the function cancel does to a running job.
func (q *fakeQueue) requestCancel(id int64) {
	q.mu.Lock()
	q.rows[id].cancelled = true
	q.mu.Unlock()
	nudge(q.cancel)
}

// call notes a call and holds the lock unless it fails.
func (q *fakeQueue) call(ctx context.Context, c fakeCall) error {
	c.at = time.Now()
	q.mu.Lock()
	q.calls = append(q.calls, c)
	q.mu.Unlock()
	if err := q.before(ctx, c.name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	q.mu.Lock()
	return nil
}

func (q *fakeQueue) Connect(context.Context) error { return nil }

func (q *fakeQueue) Open(ctx context.Context) error {
	if err := q.call(ctx, fakeCall{name: "open"}); err != nil {
		return err
	}
	defer q.mu.Unlock()
	q.state, q.leaseUntil = "serving", time.Now().Add(q.lease)
	return q.reply("open")
}

func (q *fakeQueue) live() bool {
	return (q.state == "serving" || q.state == "draining") && time.Now().Before(q.leaseUntil)
}

func (q *fakeQueue) Claim(ctx context.Context, request understudy.ClaimRequest) (jobs []*understudy.Job, more bool, err error) {
	if err := q.call(ctx, fakeCall{name: "claim", request: request}); err != nil {
		return nil, false, err
	}
	jobs, err = q.claim(request)
	q.mu.Unlock()
	q.answer(ctx)
	return jobs, len(jobs) == request.Limit || request.Bytes > 0 && q.waits(request) || q.others(), err
}

// waits says whether jobs are left that a claim could have brought.
func (q *fakeQueue) waits(request understudy.ClaimRequest) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.list, func(row *fakeRow) bool {
		return row.state == understudy.StateAvailable && row.job.Queue == request.Queue && slices.Contains(request.Kinds, row.job.Kind)
	})
}

func (q *fakeQueue) claim(request understudy.ClaimRequest) ([]*understudy.Job, error) {
	if !q.live() || q.state != "serving" {
		return nil, nil
	}
	q.number++
	var jobs []*understudy.Job
	bytes := 0
	for _, row := range q.list {
		size := len(row.job.Args) + len(row.job.Metadata)
		if len(jobs) > 0 && request.Bytes > 0 && bytes+size > request.Bytes && row.state == understudy.StateAvailable {
			break
		}
		if row.state != understudy.StateAvailable || row.job.Queue != request.Queue ||
			!(q.anyKind || slices.Contains(request.Kinds, row.job.Kind)) || len(jobs) == request.Limit {
			continue
		}
		row.state, row.claim = understudy.StateRunning, q.number
		job := row.job
		job.Attempt++
		job.AttemptedAt = time.Now()
		job.Claim = understudy.Claim{Epoch: q.epoch, Number: q.number, Requeues: row.requeues}
		jobs = append(jobs, &job)
		bytes += size
	}
	if err := q.reply("claim"); err != nil {
		q.unknown[q.number] = true
		return nil, err
	}
	return jobs, nil
}

func (q *fakeQueue) Record(ctx context.Context, outcomes []understudy.Outcome) (recorded understudy.Recorded, err error) {
	name := "record"
	if len(outcomes) == 0 {
		name = "ask"
	}
	if err := q.call(ctx, fakeCall{name: name}); err != nil {
		return recorded, err
	}
	defer q.mu.Unlock()
	if len(outcomes) == 0 {
		return recorded, q.reply(name)
	}
	q.batches = append(q.batches, slices.Clone(outcomes))
	for _, o := range outcomes {
		row := q.rows[o.Job.ID]
		if !q.holds(row, o.Job.Claim) {
			if !o.Job.MarkedCompleted() {
				recorded.Fenced = append(recorded.Fenced, o)
				q.fenced = append(q.fenced, o)
			}
			continue
		}
		deferred, rejected := q.refuse(o)
		switch {
		case deferred:
			recorded.Deferred = append(recorded.Deferred, o)
		case rejected != nil:
			recorded.Rejected = append(recorded.Rejected, understudy.RejectedOutcome{Outcome: o, Err: rejected})
		default:
			if o.Warning = o.Job.Warning(); o.Warning != "" {
				recorded.Warned = append(recorded.Warned, o)
			}
			q.written = append(q.written, o)
			row.apply(o)
		}
	}
	return recorded, q.reply("record")
}

func (q *fakeQueue) holds(row *fakeRow, claim understudy.Claim) bool {
	return row.state == understudy.StateRunning && q.epoch == claim.Epoch &&
		row.claim == claim.Number && row.requeues == claim.Requeues
}

// apply writes an outcome.
func (row *fakeRow) apply(o understudy.Outcome) {
	row.doneAt, row.err = time.Now(), o.Error
	switch o.Verdict {
	case understudy.Completed:
		row.state, row.result = understudy.StateCompleted, string(o.Job.Result())
	case understudy.Discarded:
		row.state = understudy.StateDiscarded
	case understudy.Cancelled:
		row.state = understudy.StateCancelled
	default:
		row.requeue(o)
	}
	if o.Verdict.Final() || o.Verdict == understudy.Retried {
		row.job.Attempt++
	}
}

func (row *fakeRow) requeue(o understudy.Outcome) {
	row.requeues++
	row.claim = 0
	row.state = understudy.StateAvailable
	if row.cancelled {
		row.state = understudy.StateCancelled
		return
	}
	if o.Verdict != understudy.Released {
		row.job.ScheduledAt = time.Now().Add(o.Delay)
		row.state = understudy.StateScheduled
	}
	if o.Verdict == understudy.Retried {
		row.state = understudy.StateRetryable
	}
}

func (q *fakeQueue) Renew(ctx context.Context, draining bool) error {
	if err := q.call(ctx, fakeCall{name: "renew", drain: draining}); err != nil {
		return err
	}
	defer q.mu.Unlock()
	if !q.live() {
		return understudy.ErrEpochOver
	}
	if q.leaseUntil = time.Now().Add(q.lease); draining {
		q.state = "draining"
	}
	return q.reply("renew")
}

func (q *fakeQueue) Reconcile(ctx context.Context) (found understudy.Reconciled, err error) {
	if err := q.call(ctx, fakeCall{name: "reconcile"}); err != nil {
		return found, err
	}
	defer q.mu.Unlock()
	for _, row := range q.list {
		if row.state == understudy.StateRunning && q.unknown[row.claim] {
			row.requeue(understudy.Outcome{Verdict: understudy.Released})
			found.Reclaimed++
		} else if row.state == understudy.StateRunning && row.cancelled {
			found.CancelRequested = append(found.CancelRequested, row.job.ID)
		}
	}
	return found, q.reply("reconcile")
}

func (q *fakeQueue) Promote(ctx context.Context) (done understudy.Upkeep, err error) {
	if err := q.call(ctx, fakeCall{name: "promote"}); err != nil {
		return done, err
	}
	defer q.mu.Unlock()
	done.NextDue = -1
	for _, row := range q.list {
		if row.state != understudy.StateScheduled && row.state != understudy.StateRetryable {
			continue
		}
		if wait := time.Until(row.job.ScheduledAt); wait <= 0 {
			row.state = understudy.StateAvailable
			done.Promoted++
		} else if done.NextDue < 0 || wait < done.NextDue {
			done.NextDue = wait
		}
	}
	return done, q.reply("promote")
}

func (q *fakeQueue) Rescue(ctx context.Context) (int, error) {
	if err := q.call(ctx, fakeCall{name: "rescue"}); err != nil {
		return 0, err
	}
	defer q.mu.Unlock()
	return 0, q.reply("rescue")
}

func (q *fakeQueue) Prune(ctx context.Context) error {
	if err := q.call(ctx, fakeCall{name: "prune"}); err != nil {
		return err
	}
	defer q.mu.Unlock()
	return q.reply("prune")
}

func (q *fakeQueue) End(ctx context.Context) error {
	if err := q.call(ctx, fakeCall{name: "end"}); err != nil {
		return err
	}
	defer q.mu.Unlock()
	if !q.live() {
		return nil
	}
	for _, row := range q.rows {
		if row.state == understudy.StateRunning {
			row.requeue(understudy.Outcome{Verdict: understudy.Released})
		}
	}
	q.state = "ended"
	return q.reply("end")
}

func (q *fakeQueue) Listen(ctx context.Context, wake, cancel func()) error {
	if err := q.call(ctx, fakeCall{name: "listen"}); err != nil {
		return err
	}
	q.mu.Unlock()
	wake()
	cancel()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-q.wakes:
			wake()
		case <-q.cancel:
			cancel()
		}
		if err := q.reply("listen"); err != nil {
			return err
		}
	}
}

// row returns a copy of a job's row.
func (q *fakeQueue) row(id int64) fakeRow {
	q.mu.Lock()
	defer q.mu.Unlock()
	return *q.rows[id]
}

// sent lists what was sent to Record, by write.
func (q *fakeQueue) sent() [][]understudy.Outcome {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.batches)
}

// fates lists the outcomes that were written and those that were fenced.
func (q *fakeQueue) fates() (written, fenced []understudy.Outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.written), slices.Clone(q.fenced)
}

// states counts the jobs by state.
func (q *fakeQueue) states() map[understudy.State]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	states := map[understudy.State]int{}
	for _, row := range q.rows {
		states[row.state]++
	}
	return states
}

// made lists the calls of that name.
func (q *fakeQueue) made(name string) []fakeCall {
	q.mu.Lock()
	defer q.mu.Unlock()
	var made []fakeCall
	for _, c := range q.calls {
		if c.name == name {
			made = append(made, c)
		}
	}
	return made
}
