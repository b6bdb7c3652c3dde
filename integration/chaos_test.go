package integration_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/understudy-worker/understudy/integration/internal/history"
	"github.com/understudy-worker/understudy/internal/pause"
)

// chaos breaks things at random. What it does next follows from its seed.
type chaos struct {
	th     *theatre
	random *rand.Rand // of run's goroutine
	pods   []*pod

	mu     sync.Mutex
	counts map[string]int
	taken  map[any]bool // what suffers now, and is left alone by others
	over   bool         // processes that end are not started again
}

func newChaos(th *theatre, seed uint64) *chaos {
	c := &chaos{th: th, random: rand.New(rand.NewPCG(seed, seed)), counts: map[string]int{}, taken: map[any]bool{}}
	th.t.Cleanup(c.stopRestarting)
	return c
}

// disaster is one thing that can happen: it takes what it happens to, and does
// it. How often it comes is its share among all.
type disaster struct {
	share int
	make  func(c *chaos) (subject any, do func(ctx context.Context) error)
}

var disasters = map[string]disaster{
	"flips":       {40, (*chaos).flip},
	"kills":       {10, (*chaos).kill},
	"freezes":     {10, (*chaos).freeze},
	"cuts":        {20, (*chaos).cut},
	"restarts":    {4, (*chaos).restart},
	"halts":       {4, (*chaos).halt},
	"disconnects": {8, (*chaos).disconnect},
}

// run lets things happen until ctx ends, and waits until what has happened is
// over: then all is mended, and every pod has a process.
func (c *chaos) run(ctx context.Context) error {
	var events errgroup.Group
	for _, p := range c.pods {
		c.th.tasks.Go(func() { c.keepRunning(p) })
	}
	for pause.For(ctx, c.upTo(600*time.Millisecond)) == nil {
		name, next := c.next()
		subject, do := next.make(c)
		if !c.take(subject) {
			continue
		}
		events.Go(func() error {
			defer c.leave(subject)
			c.count(name)
			// What has begun is brought to its end.
			if err := do(context.WithoutCancel(ctx)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	return events.Wait()
}

// next draws a disaster.
func (c *chaos) next() (string, disaster) {
	names := slices.Sorted(maps.Keys(disasters))
	total := 0
	for _, name := range names {
		total += disasters[name].share
	}
	n := c.random.IntN(total)
	for _, name := range names {
		if n -= disasters[name].share; n < 0 {
			return name, disasters[name]
		}
	}
	panic("shares do not add up")
}

func (c *chaos) upTo(d time.Duration) time.Duration { return time.Duration(c.random.Int64N(int64(d))) }

func pick[T any](c *chaos, from []T) T { return from[c.random.IntN(len(from))] }

func (c *chaos) pickPlace() *place {
	return c.th.places[pick(c, []string{"preview", "production"})]
}

// flip gives a pod another role, or none. Its label is not its process: it
// changes whatever that suffers.
func (c *chaos) flip() (any, func(ctx context.Context) error) {
	p, role := pick(c, c.pods), pick(c, []string{"active", "preview", ""})
	return labelOf{p}, func(ctx context.Context) error { return p.SetRole(ctx, role) }
}

// labelOf is a pod's label, as something that is taken.
type labelOf struct{ *pod }

// kill kills a pod's process; the kubelet starts another.
func (c *chaos) kill() (any, func(ctx context.Context) error) {
	p := pick(c, c.pods)
	return p, func(context.Context) error {
		p.process().kill()
		return nil
	}
}

// freeze stops a pod's process for less or for longer than its lease.
func (c *chaos) freeze() (any, func(ctx context.Context) error) {
	p, length := pick(c, c.pods), c.upTo(2*lease)
	return p, func(ctx context.Context) error {
		w := p.process()
		if err := w.freeze(); err != nil { // it has ended by itself
			return nil
		}
		return errors.Join(pause.For(ctx, length), w.thaw())
	}
}

// cut makes a wire of a pod suffer.
func (c *chaos) cut() (any, func(ctx context.Context) error) {
	p, pl, length := pick(c, c.pods), c.pickPlace(), c.upTo(2*lease)
	fault := faults[pick(c, slices.Sorted(maps.Keys(faults)))]
	return p.wires[pl.target], func(ctx context.Context) error { return p.suffer(ctx, pl, fault, length) }
}

// restart takes a server down and brings it up again.
func (c *chaos) restart() (any, func(ctx context.Context) error) {
	pl, how, length := c.pickPlace(), pick(c, shutdowns), c.upTo(lease)
	return pl, func(ctx context.Context) error {
		return c.th.breakServer(pl, how, func() error {
			if err := pl.server.Stop(ctx, how); err != nil {
				return err
			}
			return errors.Join(pause.For(ctx, length), pl.server.Start(ctx))
		})
	}
}

// halt lets a server stand still.
func (c *chaos) halt() (any, func(ctx context.Context) error) {
	pl, length := c.pickPlace(), c.upTo(2*lease)
	return pl, func(ctx context.Context) error { return c.th.freezeServer(ctx, pl, length) }
}

// disconnect terminates every session of the workers on a server.
func (c *chaos) disconnect() (any, func(ctx context.Context) error) {
	pl := c.pickPlace()
	return pl, func(ctx context.Context) error {
		from := time.Now()
		defer func() { pl.broken(history.Interval{From: from, To: time.Now()}, false) }()
		return pl.terminateAll(ctx)
	}
}

// take takes what is to suffer, unless it does already.
func (c *chaos) take(subject any) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken[subject] {
		return false
	}
	c.taken[subject] = true
	return true
}

func (c *chaos) leave(subject any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.taken, subject)
}

func (c *chaos) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
}

// keepRunning starts a pod's process again when it ends, as a kubelet does,
// until that is stopped.
func (c *chaos) keepRunning(p *pod) {
	for {
		w := p.process()
		<-w.ended
		again, err := c.startAgain(p)
		if err != nil {
			c.th.t.Error(err)
		}
		if !again {
			return
		}
		if !w.record().Killed {
			c.count("exits by themselves")
		}
	}
}

// startAgain starts a pod's process unless that is stopped.
func (c *chaos) startAgain(p *pod) (again bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false, nil
	}
	err = p.start()
	return err == nil, err
}

// stopRestarting lets processes end from now on.
func (c *chaos) stopRestarting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}

// summary says what happened how often.
func (c *chaos) summary() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		parts = append(parts, fmt.Sprintf("%s: %d", what, c.counts[what]))
	}
	return strings.Join(parts, ", ")
}
