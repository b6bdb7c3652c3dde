package demo

import (
	"context"
	"errors"
	"fmt"

	"github.com/understudy-worker/understudy/internal/pause"
	"github.com/understudy-worker/understudy/internal/rollout"
)

// open deploys 1.0, which is active from birth, and waits until it serves.
func (s *story) open(ctx context.Context) error {
	first := s.revisions.next()
	if err := s.rollout.Deploy(ctx, first); err != nil {
		return err
	}
	s.panel.played(s.rollout.History())
	return s.await(ctx, func(ctx context.Context) (string, error) {
		live, err := s.board.live(ctx, []string{s.board.production}, first)
		if err != nil || len(live) > 0 {
			return "", err
		}
		return fmt.Sprintf("version %s, active from birth, does not serve schema %s", first.Version, s.board.production), nil
	})
}

// premiere starts what goes on from here on, deploys 2.0 into preview and
// waits until both are at work.
func (s *story) premiere(ctx context.Context, hands, drips *crew) error {
	l := &lookout{board: s.board, schemas: s.schemas, counts: s.panel.counted, printer: s.printer}
	hands.run(l.run)
	drips.run(s.trickle.run)
	if err := s.deploy(ctx); err != nil {
		return err
	}
	return s.expectOnly(ctx, s.rollout.Active(), s.rollout.Preview(), s.production())
}

// act does what the script says or, one at a time, keys and the page's buttons.
func (s *story) act(ctx context.Context, hands *crew) error {
	if s.options.Script != "" {
		for _, step := range s.steps {
			s.panel.begin(step.doing())
			if err := s.do(ctx, step); err != nil {
				return err
			}
		}
		return nil
	}
	s.panel.idle()
	keys := make(chan step)
	hands.run(func(ctx context.Context) error {
		return s.takeKeys(ctx, keys)
	})
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case step := <-keys:
			if err := s.try(ctx, step); err != nil {
				return err
			}
		case step := <-s.panel.steps:
			if err := s.try(ctx, step); err != nil {
				return err
			}
		}
	}
}

// try does a step that a key or a button asked for. What cannot be done, or turns out
// wrong, is told, and the demo goes on.
func (s *story) try(ctx context.Context, step step) error {
	s.panel.begin(step.doing())
	defer s.panel.idle()
	err := s.do(ctx, step)
	var cannot rollout.Impossible
	var broken *brokenError
	switch {
	case errors.As(err, &cannot):
		s.say("%v", err)
		return nil
	case errors.As(err, &broken):
		s.say("BROKEN: %v", err)
		s.broken = append(s.broken, err.Error())
		return nil
	}
	return err
}

// do does a step and sees that what must hold after it does.
func (s *story) do(ctx context.Context, step step) error {
	var err error
	switch step.verb {
	case verbPromote:
		err = s.promote(ctx)
	case verbAbort:
		err = s.abort(ctx)
	case verbUndo:
		err = s.undo(ctx)
	case verbNew:
		err = s.deploy(ctx)
	case verbKill:
		err = s.kill(ctx)
	case verbWait:
		s.say("> wait %s", step.wait)
		err = pause.For(ctx, step.wait)
	}
	var cannot rollout.Impossible
	if err != nil && !errors.As(err, &cannot) {
		return fmt.Errorf("%s: %w", step.verb, err)
	}
	return err
}

// deploy makes the next version and puts it in preview.
func (s *story) deploy(ctx context.Context) error {
	next, replaced := s.revisions.next(), s.rollout.Preview()
	s.say("> new version %s", next.Version)
	s.trickle.lead("")
	if err := s.rollout.Deploy(ctx, next); err != nil {
		return err
	}
	s.panel.played(s.rollout.History())
	if err := s.expectPreview(ctx, next); err != nil {
		return err
	}
	if replaced != nil {
		return s.expectGone(ctx, replaced)
	}
	return nil
}

func (s *story) promote(ctx context.Context) error {
	s.say("> promote")
	return s.replace(ctx, s.rollout.Promote)
}

func (s *story) undo(ctx context.Context) error {
	s.say("> undo")
	return s.replace(ctx, s.rollout.Undo)
}

// replace lets one version take over from another. What goes into the preview
// ends first: nobody will serve it.
func (s *story) replace(ctx context.Context, do func(context.Context) (from, to *rollout.Revision, err error)) error {
	before := s.trickle.leads()
	s.trickle.lead("")
	from, to, err := do(ctx)
	if err != nil {
		s.trickle.lead(before)
		return err
	}
	s.panel.played(s.rollout.History())
	return s.expectTakeover(ctx, from, to)
}

func (s *story) abort(ctx context.Context) error {
	s.say("> abort")
	given, err := s.rollout.Abort(ctx)
	if err != nil {
		return err
	}
	s.panel.played(s.rollout.History())
	s.trickle.lead("")
	s.say("%s: given up; it stays in preview until SIGTERM in %s", given.Version, s.options.ScaleDownDelay)
	return s.expectOnly(ctx, s.rollout.Active(), given, s.production())
}

// production is production's schema alone.
func (s *story) production() []string { return []string{s.board.production} }
