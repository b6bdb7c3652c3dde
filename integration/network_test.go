package integration_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/integration/internal/history"
	"github.com/understudy-worker/understudy/integration/internal/wire"
	"github.com/understudy-worker/understudy/internal/pause"
)

// faults are what a wire can suffer.
var faults = map[string]func(w *wire.Wire) error{
	"cut":       func(w *wire.Wire) error { w.Cut(); return nil },
	"dropped":   (*wire.Wire).Drop,
	"half-open": (*wire.Wire).Swallow,
	"deaf":      (*wire.Wire).Deafen,
	"slow":      func(w *wire.Wire) error { return w.Delay(150*time.Millisecond, 100*time.Millisecond) },
}

// suffer makes a pod's wire to a place suffer a fault for as long as during.
func (p *pod) suffer(ctx context.Context, pl *place, fault func(w *wire.Wire) error, during time.Duration) error {
	w := p.wires[pl.target]
	from := time.Now()
	defer func() { pl.broken(history.Interval{From: from, To: time.Now()}, false) }()
	if err := fault(w); err != nil {
		return err
	}
	return errors.Join(pause.For(ctx, during), w.Mend())
}

func TestNothingIsLostOverAWireThatIs(t *testing.T) {
	t.Parallel()
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th := onOneServer(t)
			a := th.start("a", "active")
			b := th.start("b", "active")
			th.untilServes(a, th.production(), "active")
			th.untilServes(b, th.production(), "active")
			stop := th.produce(60, 6, th.production())
			// Shorter than the time after which a worker gives its jobs up, and longer than its lease.
			for _, length := range []time.Duration{lease / 4, 2 * lease} {
				th.untilMore(th.production(), 30)
				th.do(a.suffer(t.Context(), th.production(), fault, length))
				th.untilServes(a, th.production(), "active")
			}
			th.untilMore(th.production(), 30)
			stop()
			th.untilDone(th.production())
			th.check()
		})
	}
}

func TestARoleChangesWhileTheWireToTheOldPlaceIs(t *testing.T) {
	t.Parallel()
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th := onOneServer(t)
			th.migrate(th.preview())
			a := th.start("a", "active")
			th.untilServes(a, th.production(), "active")
			th.enqueue(th.production(), "slow", 40, 500*time.Millisecond)
			th.enqueue(th.production(), "effect", 40, 500*time.Millisecond)
			th.enqueue(th.preview(), "effect", 20, 10*time.Millisecond)
			th.until("a runs something", func(context.Context) bool { return a.process().busy() })
			mended := make(chan error, 1)
			go func() { mended <- a.suffer(context.WithoutCancel(t.Context()), th.production(), fault, 3*lease) }()
			th.do(a.SetRole(t.Context(), "preview"))
			th.untilServes(a, th.preview(), "preview")
			th.untilDone(th.preview())
			th.do(<-mended)
			b := th.start("b", "active")
			th.untilServes(b, th.production(), "active")
			th.untilDone(th.production())
			th.check()
		})
	}
}
