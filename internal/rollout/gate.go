package rollout

import (
	"context"
	"sync"
)

// gate is what the controller passes before each of its acts. It is safe for
// concurrent use; the zero value is open.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed when the gate opens again; nil while it is open
}

// Freeze is the controller being down: from now on no label changes, no Service
// switches, and no pod is made or told to end. Any goroutine may call it.
func (g *gate) Freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
	}
}

// Thaw is the controller being up again: it goes on with what it was at. Any
// goroutine may call it.
func (g *gate) Thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// pass waits until the gate is open, or returns the cause of the context's end.
func (g *gate) pass(ctx context.Context) error {
	for {
		g.mu.Lock()
		shut := g.shut
		g.mu.Unlock()
		if shut == nil {
			return nil
		}
		select {
		case <-shut: // and may be shut again
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
