package store

import (
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/understudy-worker/understudy"
)

// A claim looks at a queue from its start. Behind it are the rows of what was
// claimed before, until they are vacuumed; while some transaction is held open
// that sees them still, they are not, and every look has more of them to pass.
// So after a look that was dear, the next ones begin where it ended, until so
// much time has gone by that looks from the start take a small part of it.
//
// What comes to stand behind the frontier later waits for that: a job that a
// worker released or lost, or one that was committed more than lateness after
// its time. A look that is not dear has no frontier, and lets nothing wait.
const (
	// dearLook and dearJob are how long a look may take, and how much longer
	// for each job that it brings, for it not to be dear.
	dearLook = 20 * time.Millisecond
	dearJob  = 10 * time.Microsecond
	// spared is how many times as long as a dear look it is until the next one
	// from the start.
	spared = 10
	// lateness is how long a job may take to become visible.
	lateness = time.Second
)

// frontiers are those of an epoch's queues.
type frontiers struct {
	mu     sync.Mutex
	queues map[string]*frontier
}

// of returns the frontier of a request's queue. One for other kinds is of no use.
func (f *frontiers) of(request understudy.ClaimRequest) *frontier {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.queues == nil {
		f.queues = map[string]*frontier{}
	}
	known := f.queues[request.Queue]
	if known == nil || !slices.Equal(known.kinds, request.Kinds) {
		known = &frontier{kinds: slices.Clone(request.Kinds), perRow: blockSize}
		f.queues[request.Queue] = known
	}
	return known
}

// frontier is how far the looks at one queue have come, for each priority.
type frontier struct {
	kinds []string

	mu     sync.Mutex
	until  time.Time // until then looks begin at the frontier
	looked time.Time // when the last look began
	places [understudy.MaxPriority]place
	perRow int // jobs that a row had, of the last ones
	perJob int // bytes that a job had, of the last ones, or half of what they had before
}

// blockSize is how many ids there are that may share a row of ready: from n
// times as many on.
const blockSize = 32

// place is one in the order of claims within a priority: behind it is nothing
// to claim.
type place struct {
	runAt pgtype.Timestamptz
	jobID int64
}

var (
	atStart = place{runAt: pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}}
	atEnd   = place{runAt: pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}}
)

// look is what a claim is to look at: stretches of ready, in the columns of the
// statement "claim".
type look struct {
	began       time.Time
	limit       int // jobs that are wanted
	rows        int // rows that are taken at the most
	kinds       []string
	above, last []int16 // priorities: what is beyond the place in above, to last
	runAts      []pgtype.Timestamptz
	jobIDs      []int64
	late        float64 // seconds
}

func (l *look) add(kind string, above, last int16, from place) {
	l.kinds = append(l.kinds, kind)
	l.above, l.last = append(l.above, above), append(l.last, last)
	l.runAts, l.jobIDs = append(l.runAts, from.runAt), append(l.jobIDs, from.jobID)
}

// begin says what a look that begins now is to look at.
func (f *frontier) begin(now time.Time, limit int) *look {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &look{began: now, limit: limit, rows: min(limit/f.perRow+1, limit), late: (now.Sub(f.looked) + lateness).Seconds()}
	for _, kind := range f.kinds {
		if !now.Before(f.until) {
			l.add(kind, 0, understudy.MaxPriority, atStart)
			continue
		}
		for i, from := range f.places {
			l.add(kind, int16(i+1), int16(i+1), from)
		}
	}
	return l
}

// end notes what a look brought.
func (f *frontier) end(l *look, found findings) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = l.began
	if found.rows > 0 {
		f.perRow = max(len(found.jobs)/found.rows, 1)
	}
	if !l.began.Before(f.until) {
		f.places = [understudy.MaxPriority]place{atStart, atStart, atStart, atStart}
		if found.took > dearLook+time.Duration(len(found.jobs))*dearJob {
			f.until = l.began.Add(spared * found.took)
		}
	}
	full := len(found.jobs) >= l.limit || found.rows >= l.rows
	if found.more && !full {
		return // what others are at comes back where it was
	}
	reached := understudy.MaxPriority // all before it were seen to their end
	if full {
		last := found.jobs[len(found.jobs)-1]
		reached = last.Priority - 1
		// A row may begin with a lower id than that of the last job, of the same block.
		f.places[reached] = place{pgtype.Timestamptz{Time: last.ScheduledAt, Valid: true}, last.ID - last.ID%blockSize - 1}
	}
	for i := range reached {
		f.places[i] = atEnd
	}
}

// within is how many jobs to claim: no more than are likely to fit the request's
// bytes, so that a claim is seldom broken off.
func (f *frontier) within(request understudy.ClaimRequest) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if request.Bytes < 1 || f.perJob == 0 {
		return request.Limit
	}
	return min(request.Limit, max(request.Bytes/f.perJob, 1))
}

// weigh notes how many bytes jobs had.
func (f *frontier) weigh(jobs, bytes int) {
	if jobs == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.perJob = max(bytes/jobs, f.perJob/2)
}
