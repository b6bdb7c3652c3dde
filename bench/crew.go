package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/understudy-worker/understudy/internal/process"
	"github.com/understudy-worker/understudy/internal/tail"
)

// How long a worker process may be silent, which says how far it is every
// second, and how long it may make no headway.
const (
	silence  = 30 * time.Second
	standing = 2 * time.Minute
)

// crew is one or more worker processes at the same work.
type crew struct {
	dir     string
	workers []*worker
	changed chan struct{} // after news of any of them
	failed  chan error    // of the first that fails
}

// worker is one worker process, as its parent sees it.
type worker struct {
	name    string
	process *process.Process
	in      *os.File // its orders
	orders  *json.Encoder
	log     *tail.Tail
	done    atomic.Int64 // jobs, as it last said
	words   chan word    // all but sayDone
	read    chan struct{}
	ending  atomic.Bool
}

// hire starts worker processes and waits until they are ready.
func hire(ctx context.Context, a assignment, processes int) (*crew, error) {
	dir, err := os.MkdirTemp("", "understudy-bench-")
	if err != nil {
		return nil, err
	}
	c := &crew{dir: dir, changed: make(chan struct{}, 1), failed: make(chan error, 1)}
	for i := range processes {
		if err := c.add(a, i+1); err != nil {
			return nil, errors.Join(err, c.dismiss())
		}
	}
	for _, w := range c.workers {
		if _, err := c.hear(ctx, w, sayReady); err != nil {
			return nil, errors.Join(err, c.dismiss())
		}
	}
	return c, nil
}

// add starts one more worker process.
func (c *crew) add(a assignment, number int) error {
	a.Dir = filepath.Join(c.dir, fmt.Sprint(number))
	if err := os.Mkdir(a.Dir, 0o755); err != nil {
		return err
	}
	w := &worker{name: fmt.Sprintf("worker process %d of %s", number, a.System), log: &tail.Tail{}, words: make(chan word, 16), read: make(chan struct{})}
	out, err := w.start()
	if err != nil {
		return fmt.Errorf("start %s: %w", w.name, err)
	}
	c.workers = append(c.workers, w)
	go c.listen(w, out)
	return w.order(order{Do: doWork, Work: &a})
}

// start starts the process and returns its output.
func (w *worker) start() (out *os.File, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	theirIn, ourIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ourOut, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), ourIn.Close())
	}
	cmd := exec.Command(self, workerCommand)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirIn, theirOut, w.log
	w.process, err = process.Start(cmd, syscall.SIGKILL)
	_, _ = theirIn.Close(), theirOut.Close()
	if err != nil {
		return nil, errors.Join(err, ourIn.Close(), ourOut.Close())
	}
	w.in, w.orders = ourIn, json.NewEncoder(ourIn)
	return ourOut, nil
}

// order gives an order.
func (w *worker) order(o order) error {
	if err := w.orders.Encode(o); err != nil {
		return fmt.Errorf("%s takes no orders: %w; its log ends:\n%s", w.name, err, w.log)
	}
	return nil
}

// listen takes what a worker says, until it ends or falls silent.
func (c *crew) listen(w *worker, out *os.File) {
	defer close(w.read)
	defer func() { _ = out.Close() }()
	err := lines(&patientReader{out, silence}, func(said word) error {
		if said.Say == sayDone {
			w.done.Store(said.Done)
		} else {
			w.words <- said
		}
		select {
		case c.changed <- struct{}{}:
		default:
		}
		return nil
	})
	if w.ending.Load() && err == nil {
		return
	}
	select {
	case c.failed <- w.why(err):
	default:
	}
}

// why says why a worker is heard no more.
func (w *worker) why(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%s has said nothing for %s; its log ends:\n%s", w.name, silence, w.log)
	}
	if err != nil {
		return fmt.Errorf("%s: %w; its log ends:\n%s", w.name, err, w.log)
	}
	return fmt.Errorf("%s has ended: %w; its log ends:\n%s", w.name, w.process.Err(), w.log)
}

// patientReader reads from a pipe that is silent for so long at most.
type patientReader struct {
	pipe     *os.File
	patience time.Duration
}

func (r *patientReader) Read(p []byte) (int, error) {
	if err := r.pipe.SetReadDeadline(time.Now().Add(r.patience)); err != nil {
		return 0, err
	}
	return r.pipe.Read(p)
}

// hear waits for a word of one worker.
func (c *crew) hear(ctx context.Context, w *worker, say string) (word, error) {
	timer := time.NewTimer(standing)
	defer timer.Stop()
	select {
	case said := <-w.words:
		if said.Say != say {
			return word{}, fmt.Errorf("%s said %q, want %q", w.name, said.Say, say)
		}
		return said, nil
	case err := <-c.failed:
		return word{}, err
	case <-timer.C:
		return word{}, fmt.Errorf("%s did not say %q within %s; its log ends:\n%s", w.name, say, standing, w.log)
	case <-ctx.Done():
		return word{}, context.Cause(ctx)
	}
}

// begin lets all of them begin.
func (c *crew) begin() error {
	for _, w := range c.workers {
		if err := w.order(order{Do: doBegin}); err != nil {
			return err
		}
	}
	return nil
}

// done counts the jobs that their handlers have finished.
func (c *crew) done() int {
	var all int64
	for _, w := range c.workers {
		all += w.done.Load()
	}
	return int(all)
}

// wait waits until the handlers have finished so many jobs.
func (c *crew) wait(ctx context.Context, jobs int) error {
	progress := time.NewTimer(standing)
	defer progress.Stop()
	last := c.done()
	for last < jobs {
		select {
		case <-c.changed:
			if done := c.done(); done != last {
				last = done
				progress.Reset(standing)
			}
		case err := <-c.failed:
			return err
		case <-progress.C:
			return fmt.Errorf("%s and its like have finished no job for %s, with %d of %d done; its log ends:\n%s",
				c.workers[0].name, standing, last, jobs, c.workers[0].log)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// starts asks the only worker when each job began.
func (c *crew) starts(ctx context.Context) ([]int64, error) {
	w := c.workers[0]
	if err := w.order(order{Do: doStarts}); err != nil {
		return nil, err
	}
	said, err := c.hear(ctx, w, sayStarts)
	return said.Starts, err
}

// swap lets the only worker take another role.
func (c *crew) swap(ctx context.Context, role string) (swap, error) {
	w := c.workers[0]
	if err := w.order(order{Do: doSwap, Role: role}); err != nil {
		return swap{}, err
	}
	said, err := c.hear(ctx, w, saySwap)
	if err != nil || said.Swap == nil {
		return swap{}, err
	}
	return *said.Swap, nil
}

// pids are the processes' ids.
func (c *crew) pids() []int {
	var pids []int
	for _, w := range c.workers {
		pids = append(pids, w.process.PID())
	}
	return pids
}

// farewell is how long a worker process may take to stop.
const farewell = time.Minute

// dismiss stops all of them, in good order if they can, and removes their files.
func (c *crew) dismiss() error {
	for _, w := range c.workers {
		w.ending.Store(true)
		_ = w.in.Close()
	}
	var errs []error
	for _, w := range c.workers {
		if !w.process.Wait(farewell) {
			errs = append(errs, fmt.Errorf("%s did not stop within %s; its log ends:\n%s", w.name, farewell, w.log))
			_ = w.process.Signal(syscall.SIGKILL)
		}
		if err := w.process.Err(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w; its log ends:\n%s", w.name, err, w.log))
		}
		drain(w.words, w.read)
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// drain takes words that nobody waits for any more until the reader has ended.
func drain(words <-chan word, read <-chan struct{}) {
	for {
		select {
		case <-words:
		case <-read:
			return
		}
	}
}
