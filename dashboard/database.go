package dashboard

import (
	"context"
	"sync"
	"time"

	"github.com/understudy-worker/understudy/store"
)

const (
	// workersEvery is how often the workers are read anew while somebody looks.
	workersEvery = 2 * time.Second
	// workersStale is how old what was read of them may be shown.
	workersStale = 10 * time.Second
	// shownWorkers is how many epochs are read.
	shownWorkers = 12
	// depthLimit is how far waiting jobs are counted: further would take longer
	// than a look is worth.
	depthLimit = 100_000
)

// database is what a page shows that only a database knows. It is read beside
// the page, which never waits for it while it is open.
type database struct {
	mu      sync.Mutex
	workers []store.WorkerRow
	readAt  time.Time // of the workers
	problem string    // why they could not be read
	depths  ring[float64]
}

const unknownDepth = -1

func newDatabase() *database {
	d := &database{depths: newRing[float64](plotPoints)}
	for range plotPoints {
		d.depths.add(unknownDepth)
	}
	return d
}

// sampleDepth notes how many jobs wait until ctx ends, whether anybody looks or
// not: whoever comes wants to see the last minutes.
func (s *site) sampleDepth(ctx context.Context) {
	every(ctx, plotInterval, func() {
		depth := float64(unknownDepth)
		if jobs := s.Jobs(); jobs != nil {
			ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
			defer cancel()
			if waiting, err := jobs.Depth(ctx, depthLimit); err == nil {
				depth = float64(waiting)
			} else {
				s.Log.Debug("how many jobs wait is not known", "err", err)
			}
		}
		s.database.mu.Lock()
		defer s.database.mu.Unlock()
		s.database.depths.add(depth)
	})
}

// watchWorkers reads the workers while somebody looks, until ctx ends.
func (s *site) watchWorkers(ctx context.Context) {
	every(ctx, workersEvery, func() {
		if s.live.Watched() {
			s.readWorkers(ctx)
		}
	})
}

func (s *site) readWorkers(ctx context.Context) {
	var workers []store.WorkerRow
	problem := ""
	if jobs := s.Jobs(); jobs != nil {
		ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
		defer cancel()
		var err error
		if workers, err = jobs.Workers(ctx, shownWorkers); err != nil {
			problem = "The database did not say: the log of this worker has more."
			s.Log.Warn("the workers of the schema cannot be read", "err", err)
		}
	}
	s.database.mu.Lock()
	defer s.database.mu.Unlock()
	s.database.workers, s.database.problem, s.database.readAt = workers, problem, time.Now()
}

// every calls f at once and then by the clock, until ctx ends.
func every(ctx context.Context, period time.Duration, f func()) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// read returns what is known; the workers not if they are out of date.
func (d *database) read() (workers []store.WorkerRow, problem string, depths []float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.readAt) < workersStale {
		workers, problem = d.workers, d.problem
	}
	newest := d.depths.newest()
	for i := range newest {
		depths = append(depths, newest[len(newest)-1-i])
	}
	return workers, problem, depths
}

// fresh says whether the workers were read lately.
func (d *database) fresh() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Since(d.readAt) < 2*workersEvery
}
