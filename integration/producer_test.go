package integration_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-worker/understudy/internal/pause"
	"github.com/understudy-worker/understudy/store"
)

// producer enqueues jobs of every kind at a steady rate, as an application
// does, and cancels some. When the server does not take them it goes on with
// others: what was not acknowledged may be there or not.
type producer struct {
	place   *place
	random  *rand.Rand
	rate    int // jobs a second
	refused atomic.Int64
}

// beat is how often a producer enqueues.
const beat = 100 * time.Millisecond

// produce lets producers work for as long as a test wants.
func (th *theatre) produce(rate int, seed uint64, places ...*place) (stop func()) {
	th.t.Helper()
	ctx, cancel := context.WithCancel(th.t.Context())
	var working sync.WaitGroup
	for i, pl := range places {
		p := &producer{place: pl, random: rand.New(rand.NewPCG(seed, uint64(i))), rate: rate}
		working.Go(func() { p.run(ctx) })
	}
	stop = sync.OnceFunc(func() {
		cancel()
		working.Wait()
	})
	th.t.Cleanup(stop)
	return stop
}

func (p *producer) run(ctx context.Context) {
	for pause.For(ctx, beat) == nil {
		jobs := make([]store.NewJob, max(1, p.rate*int(beat)/int(time.Second)))
		for i := range jobs {
			jobs[i] = p.job()
		}
		limited, cancel := context.WithTimeout(ctx, 2*time.Second)
		if err := p.place.enqueue(limited, jobs...); err != nil {
			p.refused.Add(int64(len(jobs)))
		} else if p.random.IntN(5) == 0 {
			p.cancelOne(limited)
		}
		cancel()
	}
}

// cancelOne cancels one of the last jobs.
func (p *producer) cancelOne(ctx context.Context) {
	const recent = 50
	p.place.mu.Lock()
	n := len(p.place.enqueued)
	id := p.place.enqueued[n-1-p.random.IntN(min(n, recent))]
	p.place.mu.Unlock()
	_, _ = p.place.jobs.Cancel(ctx, id) // the server may be down by now
}

// job is a job of some kind.
func (p *producer) job() store.NewJob {
	job := store.NewJob{Kind: p.kind(), Priority: 1 + p.random.IntN(4)}
	job.Args = map[string]any{"MS": p.random.IntN(200), "Times": 1 + p.random.IntN(2)}
	switch p.random.IntN(20) {
	case 0:
		job.ScheduledAt = time.Now().Add(time.Duration(p.random.IntN(2000)) * time.Millisecond)
	case 1:
		job.UniqueKey = strconv.Itoa(p.random.IntN(20))
	}
	return job
}

// kind is a kind of job, the quick ones more often.
func (p *producer) kind() string {
	kinds := []string{"note", "note", "note", "note", "effect", "effect", "effect", "slow", "slow", "flaky", "sleepy", "hold", "hopeless", "stubborn"}
	return kinds[p.random.IntN(len(kinds))]
}
