package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/understudy-worker/understudy/store"
)

// tricklePause is the time between two jobs of a schema.
const tricklePause = 100 * time.Millisecond

// trickle enqueues jobs, one after another, into production and into the
// schema of the version in preview. It notes the number of each.
type trickle struct {
	board *board

	mu      sync.Mutex // held while jobs are enqueued
	preview string     // schema; "" for none
	ids     map[string][]int64
}

func newTrickle(b *board) *trickle { return &trickle{board: b, ids: map[string][]int64{}} }

// run enqueues until ctx ends.
func (t *trickle) run(ctx context.Context) error {
	ticker := time.NewTicker(tricklePause)
	defer ticker.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := t.drip(ctx, turn); err != nil {
			return err
		}
	}
}

// drip enqueues one job in each schema, by turns one that is done at once and
// one that takes a while.
func (t *trickle) drip(ctx context.Context, turn int) error {
	job := store.NewJob{Kind: "echo", Args: map[string]int{"turn": turn}}
	if turn%2 == 1 {
		job = store.NewJob{Kind: "sleep", Args: map[string]float64{"seconds": 0.2}}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, schema := range []string{t.board.production, t.preview} {
		if schema == "" {
			continue
		}
		if _, err := t.enqueue(ctx, schema, []store.NewJob{job}); err != nil {
			return err
		}
	}
	return nil
}

// enqueue enqueues jobs. mu is held. It goes through with it when ctx ends
// meanwhile: nobody could say then whether the jobs are there.
func (t *trickle) enqueue(ctx context.Context, schema string, jobs []store.NewJob) ([]int64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dbTimeout)
	defer cancel()
	s, err := t.board.store(schema)
	if err != nil {
		return nil, err
	}
	ids, err := s.EnqueueMany(ctx, jobs)
	if err != nil {
		return nil, err
	}
	t.ids[schema] = append(t.ids[schema], ids...)
	return ids, nil
}

// burst enqueues jobs in production that take that long, and returns their numbers.
func (t *trickle) burst(ctx context.Context, count int, length time.Duration) ([]int64, error) {
	jobs := make([]store.NewJob, count)
	for i := range jobs {
		jobs[i] = store.NewJob{Kind: "sleep", Args: map[string]float64{"seconds": length.Seconds()}}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	ids, err := t.enqueue(ctx, t.board.production, jobs)
	if err != nil {
		return nil, fmt.Errorf("enqueue %d jobs at once: %w", count, err)
	}
	return ids, nil
}

// lead changes the preview's schema, "" for none. When it returns, nothing
// more goes into the one before.
func (t *trickle) lead(preview string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.preview = preview
}

// leads is the schema of the version in preview, "" without one.
func (t *trickle) leads() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.preview
}

// enqueued are the numbers of the jobs that were enqueued in a schema.
func (t *trickle) enqueued(schema string) []int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]int64(nil), t.ids[schema]...)
}
