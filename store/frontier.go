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
	dearJob  = 20 * time.Microsecond
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
		known = &frontier{kinds: slices.Clone(request.Kinds)}
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
}

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

// stretches are the parts of ready that a claim looks at, in the columns of
// the statement "claim".
type stretches struct {
	kinds       []string
	above, last []int16 // priorities: what is beyond the place in above, to last
	runAts      []pgtype.Timestamptz
	jobIDs      []int64
	late        float64 // seconds
}

func (s *stretches) add(kind string, above, last int16, from place) {
	s.kinds = append(s.kinds, kind)
	s.above, s.last = append(s.above, above), append(s.last, last)
	s.runAts, s.jobIDs = append(s.runAts, from.runAt), append(s.jobIDs, from.jobID)
}

// begin says what a look that begins now is to look at.
func (f *frontier) begin(now time.Time) *stretches {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &stretches{late: (now.Sub(f.looked) + lateness).Seconds()}
	for _, kind := range f.kinds {
		if !now.Before(f.until) {
			s.add(kind, 0, understudy.MaxPriority, atStart)
			continue
		}
		for i, from := range f.places {
			s.add(kind, int16(i+1), int16(i+1), from)
		}
	}
	return s
}

// end notes what a look brought, in the order of claims.
func (f *frontier) end(began time.Time, took time.Duration, limit int, jobs []*understudy.Job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = began
	if !began.Before(f.until) {
		f.places = [understudy.MaxPriority]place{atStart, atStart, atStart, atStart}
		if took > dearLook+time.Duration(len(jobs))*dearJob {
			f.until = began.Add(spared * took)
		}
	}
	reached := understudy.MaxPriority // all before it were seen to their end
	if len(jobs) >= limit {
		last := jobs[len(jobs)-1]
		reached = last.Priority - 1
		f.places[reached] = place{pgtype.Timestamptz{Time: last.ScheduledAt, Valid: true}, last.ID}
	}
	for i := range reached {
		f.places[i] = atEnd
	}
}
