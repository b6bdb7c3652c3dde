package dashboard

import (
	"context"
	"sync"
	"time"

	"github.com/understudy-worker/understudy"
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
	depthLimit = 20_000
)

// database is what a page shows that only a database knows. It is read beside
// the page, which never waits for it while it is open, and shown of the place
// that it was read of alone.
type database struct {
	asking sync.Mutex // held while the workers are read

	mu      sync.Mutex
	workers workersReading
	depths  ring[depthReading]
}

// workersReading is who worked at a place.
type workersReading struct {
	place   understudy.Place
	at      time.Time
	rows    []store.WorkerRow
	problem string // why they could not be read
}

// depthReading is how many jobs waited at a place.
type depthReading struct {
	place understudy.Place // the zero one if it is not known
	jobs  float64
}

// unknownDepth leaves a gap in the plot.
const unknownDepth = -1

func newDatabase() *database { return &database{depths: newRing[depthReading](plotPoints)} }

// sampleDepth notes how many jobs wait until ctx ends, whether anybody looks or
// not: whoever comes wants to see the last minutes.
func (s *site) sampleDepth(ctx context.Context) {
	every(ctx, plotInterval, func() {
		reading := s.readDepth(ctx)
		s.database.mu.Lock()
		defer s.database.mu.Unlock()
		s.database.depths.add(reading)
	})
}

func (s *site) readDepth(ctx context.Context) depthReading {
	jobs := s.Jobs()
	if jobs == nil {
		return depthReading{}
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	waiting, err := jobs.Depth(ctx, depthLimit)
	if err != nil {
		s.Log.Debug("how many jobs wait is not known", "err", err)
		return depthReading{}
	}
	return depthReading{jobs.Place(), float64(waiting)}
}

// watchWorkers reads the workers while somebody looks, until ctx ends.
func (s *site) watchWorkers(ctx context.Context) {
	every(ctx, workersEvery, func() {
		if s.live.Watched() {
			s.readWorkers(ctx)
		}
	})
}

// readWorkers reads the workers, unless they were just read. That whoever asked
// has gone does not matter: others see what was read.
func (s *site) readWorkers(ctx context.Context) {
	jobs := s.Jobs()
	if jobs == nil {
		return
	}
	s.database.asking.Lock()
	defer s.database.asking.Unlock()
	if s.database.knows(jobs.Place()) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sourceTimeout)
	defer cancel()
	reading := workersReading{place: jobs.Place()}
	var err error
	if reading.rows, err = jobs.Workers(ctx, shownWorkers); err != nil {
		reading.problem = "The database did not say: the log of this worker has more."
		s.Log.Warn("the workers of the schema cannot be read", "err", err)
	}
	reading.at = time.Now()
	s.database.mu.Lock()
	defer s.database.mu.Unlock()
	s.database.workers = reading
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

// read returns what is known of a place: its workers not if that is out of date,
// and its depths with gaps for when another was served.
func (d *database) read(place understudy.Place) (workers []store.WorkerRow, problem string, depths []float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.workers.place == place && time.Since(d.workers.at) < workersStale {
		workers, problem = d.workers.rows, d.workers.problem
	}
	depths = make([]float64, plotPoints)
	for i := range depths {
		depths[i] = unknownDepth
	}
	for i, reading := range d.depths.newest() {
		if reading.place == place && place != (understudy.Place{}) {
			depths[plotPoints-1-i] = reading.jobs
		}
	}
	return workers, problem, depths
}

// knows says whether the workers of a place were read just now.
func (d *database) knows(place understudy.Place) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.workers.place == place && time.Since(d.workers.at) < workersEvery/2
}
