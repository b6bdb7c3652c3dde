package store

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
)

// writing is one write of outcomes: what is sent, and what came of it.
type writing struct {
	outcomes []understudy.Outcome
	final    finals       // what finishes jobs
	back     returnedJobs // what returns them to their queue
}

func newWriting(outcomes []understudy.Outcome) *writing {
	w := &writing{outcomes: outcomes}
	final := make([]int, 0, len(outcomes))
	for i := range outcomes {
		if outcomes[i].Verdict.Final() {
			final = append(final, i)
		} else {
			w.back.add(i, &outcomes[i])
		}
	}
	w.final = newFinals(outcomes, final)
	return w
}

// batch is the statements of the write, for one transaction. The claims that
// it empties go last: the others are fenced by them.
func (w *writing) batch(q *Queue, emptied []int64) *pgx.Batch {
	batch, place, sql := &pgx.Batch{}, q.options.Place, q.store.sql
	w.final.queue(batch, sql.get("finish"), q.epoch, place)
	if c := &w.back; len(c.ids) > 0 {
		batch.Queue(sql.get("requeue"), q.epoch, c.ids, c.requeues, c.numbers, c.verdicts, c.delays, c.attempted,
			c.errors, place.Version, place.Role, wakeChannel(q.store.schema)).
			QueryRow(func(row pgx.Row) error { return row.Scan(&c.written, nil) })
	}
	if len(emptied) > 0 {
		batch.Queue(sql.get("forget_claims"), q.epoch, emptied)
	}
	return batch
}

// tell says what became of the outcomes. One that was not written is of a job
// that the worker no longer holds, unless its handler completed it in a
// transaction of its own.
func (w *writing) tell(done *understudy.Recorded) {
	missing := append(w.final.missing(), w.back.missing()...)
	for _, i := range missing {
		if !w.outcomes[i].Job.MarkedCompleted() {
			done.Fenced = append(done.Fenced, w.outcomes[i])
		}
	}
	for i, o := range w.outcomes {
		if o.Warning != "" && (o.Job.MarkedCompleted() || !slices.Contains(missing, i)) {
			done.Warned = append(done.Warned, o)
		}
	}
}

// returnedJobs are the outcomes of a write that return their jobs to the queue,
// as the columns that the statement "requeue" takes.
type returnedJobs struct {
	ids       []int64
	requeues  []int32
	numbers   []int64
	verdicts  []string
	delays    []float64
	attempted []time.Time
	errors    []*string

	places  []int   // of the outcomes
	written []int64 // of the columns' rows, from 1: those that were written; nil for all
}

func (c *returnedJobs) add(place int, o *understudy.Outcome) {
	job := o.Job
	c.ids = append(c.ids, job.ID)
	c.requeues = append(c.requeues, int32(job.Claim.Requeues))
	c.numbers = append(c.numbers, job.Claim.Number)
	c.verdicts = append(c.verdicts, o.Verdict.String())
	c.delays = append(c.delays, max(o.Delay, 0).Seconds())
	c.attempted = append(c.attempted, job.AttemptedAt)
	c.errors = append(c.errors, errorText(o.Error))
	c.places = append(c.places, place)
}

// missing are the places of the outcomes that were not written.
func (c *returnedJobs) missing() []int { return unwritten(c.places, c.written) }

// resultText is the result that is kept of a job that completed.
func resultText(o *understudy.Outcome) *string {
	result := o.Job.Result()
	if o.Verdict != understudy.Completed || o.Warning != "" || result == nil {
		return nil
	}
	text := string(result)
	return &text
}

// errorText is an error, or a warning, as Postgres can store it; nil for none.
func errorText(text string) *string {
	if text == "" {
		return nil
	}
	text = understudy.ErrorText(text)
	return &text
}

// asciiText is a text as a database of any encoding can store it: characters
// beyond ASCII are written as Go escapes them, which makes it longer.
func asciiText(text string) string {
	var ascii strings.Builder
	for _, r := range understudy.ErrorText(text) {
		if r < utf8.RuneSelf {
			ascii.WriteRune(r)
		} else {
			ascii.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	if ascii.Len() <= understudy.MaxErrorBytes {
		return ascii.String()
	}
	return ascii.String()[:understudy.MaxErrorBytes-3] + "..."
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}
