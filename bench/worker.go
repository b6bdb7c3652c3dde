package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
)

// reportEvery is how often a worker process says how far it is, and
// silentAtMost how long it says nothing where nothing changes.
const (
	reportEvery  = 5 * time.Millisecond
	silentAtMost = time.Second
)

// engine works jobs with one system in a worker process. It returns when ctx
// has ended and everything has stopped, or when something failed.
type engine func(ctx context.Context, a assignment, t *tally, g *gate) error

// gate is what an engine waits for, and what it tells.
type gate struct {
	ready func() error          // tells that it waits for begin
	begin <-chan struct{}       // closed when it is to begin
	roles <-chan string         // roles that it is to take, one after another
	swaps func(done swap) error // to be called when it has taken one
}

// open tells that the engine is ready and waits until it is to begin. It says no
// where there is an error, or ctx ends before.
func (g *gate) open(ctx context.Context) (begin bool, err error) {
	if err := g.ready(); err != nil {
		return false, err
	}
	select {
	case <-g.begin:
		return true, nil
	case <-ctx.Done():
		return false, nil
	}
}

// errInputEnded ends a worker process whose parent has no more orders.
var errInputEnded = errors.New("the input has ended")

// work is the main function of a worker process.
func work(ctx context.Context, in io.Reader, out io.Writer) error {
	p := &workerProcess{words: newSayer(out), orders: make(chan order)}
	group, ctx := errgroup.WithContext(ctx)
	// Not waited for: a read from a terminal or a pipe cannot be ended.
	read := make(chan error, 1)
	go func() { read <- p.read(ctx, in) }()
	group.Go(func() error {
		first, err := p.first(ctx)
		if err != nil {
			return err
		}
		return p.serve(ctx, first)
	})
	group.Go(func() error {
		select {
		case err := <-read:
			return err
		case <-ctx.Done():
			return nil
		}
	})
	if err := group.Wait(); !errors.Is(err, errInputEnded) {
		return err
	}
	return nil
}

// workerProcess is the state of a worker process.
type workerProcess struct {
	words  *sayer
	orders chan order
}

// read hands the orders on.
func (p *workerProcess) read(ctx context.Context, in io.Reader) error {
	err := lines(in, func(o order) error {
		select {
		case p.orders <- o:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err == nil {
		return errInputEnded
	}
	return err
}

// first waits for the assignment.
func (p *workerProcess) first(ctx context.Context) (assignment, error) {
	select {
	case o := <-p.orders:
		if o.Do != doWork || o.Work == nil {
			return assignment{}, fmt.Errorf("order %q: the first one says what to work", o.Do)
		}
		return *o.Work, nil
	case <-ctx.Done():
		return assignment{}, context.Cause(ctx)
	}
}

// serve works what was assigned, reports how far it is, and obeys.
func (p *workerProcess) serve(ctx context.Context, a assignment) error {
	s, err := systemOf(a.System)
	if err != nil {
		return err
	}
	t := newTally(a)
	begin, roles := make(chan struct{}), make(chan string)
	g := &gate{
		ready: func() error { return p.words.say(word{Say: sayReady}) },
		begin: begin, roles: roles,
		swaps: func(done swap) error { return p.words.say(word{Say: saySwap, Swap: &done}) },
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.work(ctx, a, t, g) })
	group.Go(func() error { return p.obey(ctx, t, begin, roles) })
	reporting, stop := context.WithCancel(context.Background())
	reported := make(chan error, 1)
	go func() { reported <- p.report(reporting, t) }() // to the very end: jobs may finish while the engine stops
	err = group.Wait()
	stop()
	return errors.Join(err, <-reported)
}

// obey carries the orders out.
func (p *workerProcess) obey(ctx context.Context, t *tally, begin chan<- struct{}, roles chan<- string) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-p.orders:
			switch o.Do {
			case doBegin:
				close(begin)
			case doStarts:
				if err := p.words.say(word{Say: sayStarts, Starts: t.started()}); err != nil {
					return err
				}
			case doSwap:
				select {
				case roles <- o.Role:
				case <-ctx.Done():
				}
			default:
				return fmt.Errorf("order %q is unknown", o.Do)
			}
		}
	}
}

// report says how many jobs are done whenever that changed, and once more at
// the end.
func (p *workerProcess) report(ctx context.Context, t *tally) error {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	said, at := int64(-1), time.Now()
	for {
		select {
		case <-ctx.Done():
			return p.words.say(word{Say: sayDone, Done: t.done.Load()})
		case now := <-ticker.C:
			done := t.done.Load()
			if done == said && now.Sub(at) < silentAtMost {
				continue
			}
			if err := p.words.say(word{Say: sayDone, Done: done}); err != nil {
				return err
			}
			said, at = done, now
		}
	}
}
