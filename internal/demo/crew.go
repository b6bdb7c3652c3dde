package demo

import (
	"context"
	"sync"
)

// crew is goroutines that work behind the scenes, are told to stop together
// and waited for together.
type crew struct {
	ctx    context.Context
	cancel context.CancelFunc
	fail   func(err error)
	tasks  sync.WaitGroup
}

// newCrew makes a crew that outlives the end of ctx. It starts nothing.
func newCrew(ctx context.Context, fail func(err error)) *crew {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return &crew{ctx: ctx, cancel: cancel, fail: fail}
}

// run runs f until it returns, which it does soon after its context has ended.
// Its error is the demo's.
func (c *crew) run(f func(ctx context.Context) error) {
	c.tasks.Go(func() {
		if err := f(c.ctx); err != nil {
			c.fail(err)
		}
	})
}

// stop stops the crew and waits for it. It may be called again.
func (c *crew) stop() {
	c.cancel()
	c.tasks.Wait()
}

// trouble keeps the first thing that went wrong, and ends the acts because of
// it. It is safe for concurrent use.
type trouble struct {
	end context.CancelCauseFunc

	mu    sync.Mutex
	first error
}

func (t *trouble) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == nil {
		t.first = err
	}
	t.end(err)
}

// err is what went wrong, nil if nothing did.
func (t *trouble) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.first
}
