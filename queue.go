package understudy

import (
	"fmt"
	"strings"
	"time"
)

// ClaimRequest asks a queue's schema for jobs that are due.
type ClaimRequest struct {
	Queue string
	// Kinds are the kinds that this worker has a handler for; others are left.
	Kinds []string
	// Limit is how many jobs to claim at the most.
	Limit int
	// Bytes is how many bytes of arguments and metadata they may have together, 0
	// for any number. One job is claimed however many it has.
	Bytes int
}

// Verdict is how a claimed job leaves its worker's hands.
type Verdict int

// The verdicts. The first three finish the job; the others return it to its queue.
const (
	// Completed says that the handler returned nil.
	Completed Verdict = iota + 1
	// Discarded gives the job up.
	Discarded
	// Cancelled ends a job whose cancellation was requested.
	Cancelled
	// Retried charges an attempt and runs the job again after Outcome.Delay.
	Retried
	// Snoozed runs the job again after Outcome.Delay, uncharged.
	Snoozed
	// Released returns the job to its place in the queue at once, uncharged.
	Released
)

// Verdicts lists every verdict.
var Verdicts = []Verdict{Completed, Discarded, Cancelled, Retried, Snoozed, Released}

var verdictNames = [...]string{
	Completed: "completed", Discarded: "discarded", Cancelled: "cancelled",
	Retried: "retried", Snoozed: "snoozed", Released: "released",
}

// String is the verdict as metrics and logs call it.
func (v Verdict) String() string {
	if v < Completed || v > Released {
		return "unknown"
	}
	return verdictNames[v]
}

// Final says whether the verdict finishes the job.
func (v Verdict) Final() bool { return v <= Cancelled }

// ErrorText is the text of an error as jobs and logs keep it, whatever a
// handler put there: UTF-8 without NUL, which Postgres cannot store, and of at
// most MaxErrorBytes.
func ErrorText(text string) string {
	kept := strings.ToValidUTF8(text[:min(len(text), MaxErrorBytes+1)], "\uFFFD")
	kept = strings.ReplaceAll(kept, "\x00", "\uFFFD")
	if len(text) <= MaxErrorBytes && len(kept) <= MaxErrorBytes {
		return kept
	}
	rest := fmt.Sprintf(" … (%d bytes in all)", len(text))
	return strings.ToValidUTF8(kept[:min(len(kept), MaxErrorBytes-len(rest))], "") + rest
}

// Outcome is what is recorded of one attempt.
type Outcome struct {
	Job     *Job
	Verdict Verdict
	// Error says why an attempt failed; empty where none did.
	Error string
	// Warning says why a completed job's result is not kept; empty where it is.
	Warning string
	// Delay is how long a retried or snoozed job waits, from the moment that
	// its outcome is recorded, by the database's clock.
	Delay time.Duration
}

// Reconciled is what a worker learns when it compares the claims it knows of
// with those in the database.
type Reconciled struct {
	// CancelRequested are the running jobs of the schema that somebody wants
	// cancelled, whoever runs them.
	CancelRequested []int64
	// Reclaimed counts the jobs that went back to their queue because the
	// reply to the claim that took them never arrived.
	Reclaimed int
}

// Recorded is what became of outcomes that were sent to be recorded.
type Recorded struct {
	// Fenced are the outcomes of jobs that the worker no longer holds: nothing
	// was written.
	Fenced []Outcome
	// Deferred are outcomes whose row somebody else has locked: send them again.
	Deferred []Outcome
	// Rejected are outcomes that the database cannot store as they are.
	Rejected []RejectedOutcome
	// Warned are outcomes that were written without the job's result; their
	// Warning says why.
	Warned []Outcome
}

// RejectedOutcome is an outcome that the database cannot store, and why.
type RejectedOutcome struct {
	Outcome Outcome
	Err     error
}

// Upkeep is what one round of a schema's housekeeping did.
type Upkeep struct {
	// Promoted counts the jobs whose time had come.
	Promoted int
	// NextDue is how long until the next scheduled job is due; negative when
	// none is scheduled.
	NextDue time.Duration
}
