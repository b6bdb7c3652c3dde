package dashboard

import (
	"sync"
	"time"

	"github.com/understudy-worker/understudy"
)

// How much a journal keeps.
const (
	keptJobs     = 10
	keptFailures = 5
	keptEpochs   = 20
)

// journal remembers what a process did lately, across its epochs, for its page.
// Its memory is bounded, and a job costs it one lock.
type journal struct {
	mu       sync.Mutex
	finished ring[finishedJob]
	failures ring[finishedJob]
	epochs   ring[epochEntry]
	rates    rates
	nextSwap time.Duration // of an epoch that is yet to begin
}

// finishedJob is one attempt that ended.
type finishedJob struct {
	ID      int64
	Kind    string
	Attempt int
	Verdict understudy.Verdict
	Error   string
	At      time.Time
	Took    time.Duration
}

// epochEntry is one epoch of the process.
type epochEntry struct {
	understudy.Place
	From, To time.Time // To is zero while it lasts
	Jobs     int64     // attempts that ended in it
	// Swap is how long it took from the snapshot that asked for the epoch to its
	// begin; 0 if that is not known.
	Swap time.Duration
}

func newJournal() *journal {
	return &journal{
		finished: newRing[finishedJob](keptJobs), failures: newRing[finishedJob](keptFailures), epochs: newRing[epochEntry](keptEpochs),
	}
}

func (j *journal) begin(place understudy.Place) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.epochs.add(epochEntry{Place: place, From: time.Now(), Swap: j.nextSwap})
	j.nextSwap = 0
}

func (j *journal) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if now := j.epochs.last(); now != nil {
		now.To = time.Now()
	}
}

// swap notes how long a swap took. It is told while the epoch that it leads to
// begins, before or after that.
func (j *journal) swap(took time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if now := j.epochs.last(); now != nil && now.To.IsZero() {
		now.Swap = took
	} else {
		j.nextSwap = took
	}
}

func (j *journal) add(o understudy.Outcome, took time.Duration) {
	now := time.Now()
	done := finishedJob{ID: o.Job.ID, Kind: o.Job.Kind, Attempt: o.Job.Attempt, Verdict: o.Verdict, Error: o.Error, At: now, Took: took}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.finished.add(done)
	if failed(o.Verdict) {
		j.failures.add(done)
	}
	if epoch := j.epochs.last(); epoch != nil {
		epoch.Jobs++
	}
	j.rates.add(now, o.Verdict)
}

// failed says whether an attempt went wrong: one that is snoozed, released or
// cancelled did not.
func failed(v understudy.Verdict) bool { return v == understudy.Retried || v == understudy.Discarded }

// pages is what the journal says now.
type pages struct {
	Finished, Failures []finishedJob // the newest first
	Epochs             []epochEntry  // likewise
	Completed, Failed  []float64     // a second, by interval, the newest last
	Throughput         float64       // attempts a second that ended lately
}

func (j *journal) read() pages {
	j.mu.Lock()
	defer j.mu.Unlock()
	completed, failed, throughput := j.rates.read(time.Now())
	return pages{
		Finished: j.finished.newest(), Failures: j.failures.newest(), Epochs: j.epochs.newest(),
		Completed: completed, Failed: failed, Throughput: throughput,
	}
}
