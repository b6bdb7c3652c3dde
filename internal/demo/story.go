package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/rollout"
)

// story is one run of the demo. The goroutine of play owns it.
type story struct {
	options Options
	steps   []step
	*printer
	recorder  *recorder
	trouble   *trouble
	revisions *revisions
	panel     *panel

	dir      string
	database *database
	pool     *pgxpool.Pool
	board    *board
	services map[string]*service // by role
	page     net.Listener        // the tester's
	cluster  *cluster
	rollout  *rollout.BlueGreen
	trickle  *trickle

	broken []string       // promises that were seen broken while keys were taken
	clears []func() error // what there is to clear away, the last first
}

// newStory is a story that has not begun.
func newStory(o Options, steps []step) *story {
	s := &story{options: o, steps: steps, printer: newPrinter(o.Out), recorder: &recorder{}, revisions: &revisions{}}
	s.panel = newPanel(o.Script != "", s.printer, s.recorder, s.revisions)
	return s
}

// revisions are the versions of a run, from 1.0 on. It is safe for concurrent use.
type revisions struct {
	mu  sync.Mutex
	all []*rollout.Revision
}

// hashLength is how long Argo Rollouts' pod template hashes are.
const hashLength = 10

// next makes the next version.
func (r *revisions) next() *rollout.Revision {
	r.mu.Lock()
	defer r.mu.Unlock()
	rev := &rollout.Revision{Version: fmt.Sprintf("%d.0", len(r.all)+1), Hash: randomName(hashLength)}
	r.all = append(r.all, rev)
	return rev
}

// list is every version so far.
func (r *revisions) list() []*rollout.Revision {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*rollout.Revision(nil), r.all...)
}

// schemas are the names of all schemas that there may be, production first.
func (s *story) schemas() []string {
	all := []string{s.board.production}
	for _, r := range s.revisions.list() {
		all = append(all, s.board.preview(r))
	}
	return all
}

// play builds the stage, plays, and clears the stage, however far it came.
func (s *story) play(ctx context.Context) error {
	acts, end := context.WithCancelCause(ctx)
	defer end(nil)
	s.trouble = &trouble{end: end}
	err := s.build(acts)
	if err == nil {
		err = s.perform(ctx, acts)
	} else if ctx.Err() != nil {
		err = s.interrupted()
	}
	return errors.Join(err, s.clear())
}

// interrupted is the error of a run that a signal ended: scripts are to be
// done, keys are not.
func (s *story) interrupted() error {
	if s.options.Script != "" {
		return errInterrupted
	}
	return nil
}

// perform plays the acts on the stage that is built, with all that happens
// behind the scenes.
func (s *story) perform(ctx, acts context.Context) error {
	hands := newCrew(ctx, s.trouble.fail)
	defer hands.stop()
	drips := newCrew(ctx, s.trouble.fail)
	defer drips.stop()
	for _, service := range s.services {
		hands.run(service.run)
	}
	err := s.openTester(hands)
	if err == nil {
		err = s.open(acts)
	}
	if err == nil {
		err = s.premiere(acts, hands, drips)
	}
	if err == nil {
		err = s.act(acts, hands)
	}
	s.panel.begin("the demo ends")
	err = s.outcome(ctx, acts, err)
	drips.stop()
	if err = s.curtain(ctx, err); err != nil {
		s.cluster.tell()
	}
	return err
}

// outcome is the error of acts that came to err: none if they were told to
// end, the cause if something made them.
func (s *story) outcome(ctx, acts context.Context, err error) error {
	switch {
	case s.trouble.err() != nil:
		return s.trouble.err()
	case errors.Is(context.Cause(acts), errQuit):
		return nil
	case ctx.Err() != nil:
		return s.interrupted()
	}
	return err
}

// curtain lets the work end, then the workers, and judges what is on record.
// After an error, or a signal, the workers just end.
func (s *story) curtain(ctx context.Context, err error) error {
	whole := err == nil && ctx.Err() == nil
	if whole {
		err = s.settle(ctx)
	} else if ctx.Err() != nil {
		s.say("interrupted: the workers end what they hold, and then all is cleared away")
	}
	s.rollout.Close()
	err = errors.Join(err, s.cluster.end())
	switch {
	case err != nil:
		return err
	case s.trouble.err() != nil:
		return s.trouble.err()
	case ctx.Err() != nil:
		return s.interrupted()
	case whole:
		err = s.judge(ctx)
	}
	if err == nil && len(s.broken) > 0 {
		err = fmt.Errorf("%d promises were broken, the first: %s", len(s.broken), s.broken[0])
	}
	return err
}

// clear clears away what was built, in the opposite order.
func (s *story) clear() error {
	var errs []error
	for i := len(s.clears) - 1; i >= 0; i-- {
		errs = append(errs, s.clears[i]())
	}
	s.clears = nil
	return errors.Join(errs...)
}
