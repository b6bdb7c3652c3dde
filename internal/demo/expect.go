package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-worker/understudy/internal/pause"
	"github.com/understudy-worker/understudy/internal/rollout"
)

// patience is how long what must come to hold may take. Mostly it is a second;
// a rescue waits for a lease.
const patience = time.Minute

// expectPoll is the pause between two looks at what must come to hold.
const expectPoll = 50 * time.Millisecond

// expectJobs is how many jobs have to go the right way for it to count.
const expectJobs = 5

// brokenError is a promise that did not hold.
type brokenError struct{ what string }

func (e *brokenError) Error() string { return e.what }

// await waits until look has nothing to complain of. Complaining for too long
// is a broken promise.
func (s *story) await(ctx context.Context, look func(ctx context.Context) (complaint string, err error)) error {
	for deadline := time.Now().Add(patience); ; {
		looking, cancel := context.WithTimeout(ctx, dbTimeout)
		complaint, err := look(looking)
		cancel()
		switch {
		case err != nil:
			return err
		case complaint == "":
			return nil
		case time.Now().After(deadline):
			return &brokenError{fmt.Sprintf("%s after %s", complaint, patience)}
		}
		if err := pause.For(ctx, expectPoll); err != nil {
			return err
		}
	}
}

// expectTakeover waits until one version has taken production over from
// another, which serves nothing and claims nothing any more.
func (s *story) expectTakeover(ctx context.Context, from, to *rollout.Revision) error {
	began := s.recorder.latest(to, rollout.RoleActive).from
	left := s.recorder.latest(from, rollout.RoleNone).from
	err := s.await(ctx, func(ctx context.Context) (string, error) {
		all, err := s.board.claimed(ctx, s.board.production, began)
		if err != nil || all[to.Version].Done > 0 {
			return "", err
		}
		return fmt.Sprintf("version %s, which is active, has completed no production job", to.Version), nil
	})
	if err != nil {
		return err
	}
	if err := s.expectGone(ctx, from); err != nil {
		return err
	}
	if err := s.expectOnly(ctx, to, from, s.schemas()); err != nil {
		return err
	}
	return s.tellTakeover(ctx, from, to, began, left)
}

// tellTakeover tells how quick it was.
func (s *story) tellTakeover(ctx context.Context, from, to *rollout.Revision, began, left time.Time) error {
	since, err := s.board.claimed(ctx, s.board.production, began)
	if err != nil {
		return err
	}
	ever, err := s.board.claimed(ctx, s.board.production, time.Time{})
	if err != nil {
		return err
	}
	s.say("ok: %s claimed its first production job %.3f s after it was labelled, %s its last %s; only %s claims now",
		to.Version, since[to.Version].First.Sub(began).Seconds(), from.Version, relative(ever[from.Version].Last.Sub(left)), to.Version)
	return nil
}

// relative tells how long before or after the loss of its label something was.
func relative(d time.Duration) string {
	if d < 0 {
		return fmt.Sprintf("%.3f s before it lost its label", -d.Seconds())
	}
	return fmt.Sprintf("%.3f s after it lost its label", d.Seconds())
}

// expectGone waits until a version serves nothing, anywhere.
func (s *story) expectGone(ctx context.Context, r *rollout.Revision) error {
	return s.await(ctx, func(ctx context.Context) (string, error) {
		live, err := s.board.live(ctx, s.schemas(), r)
		if err != nil || len(live) == 0 {
			return "", err
		}
		return fmt.Sprintf("version %s, whose role is gone, still serves as %s", r.Version, live[0].Role), nil
	})
}

// expectOnly waits until a version has completed some production jobs that it
// claimed from now on, and sees that the other claimed none meanwhile from any
// of the schemas.
func (s *story) expectOnly(ctx context.Context, active, other *rollout.Revision, schemas []string) error {
	now, err := s.board.clock(ctx)
	if err != nil {
		return err
	}
	return s.await(ctx, func(ctx context.Context) (string, error) {
		there, err := s.board.existing(ctx, schemas)
		if err != nil {
			return "", err
		}
		done := 0
		for _, schema := range there {
			all, err := s.board.claimed(ctx, schema, now)
			if err != nil {
				return "", err
			}
			if n := all[other.Version].Jobs; n > 0 {
				return "", &brokenError{fmt.Sprintf("version %s claimed %d jobs of schema %s, which were not its to claim", other.Version, n, schema)}
			}
			if schema == s.board.production {
				done = all[active.Version].Done
			}
		}
		if done >= expectJobs {
			return "", nil
		}
		return fmt.Sprintf("version %s, the active one, has completed %d of %d production jobs", active.Version, done, expectJobs), nil
	})
}

// expectPreview waits until a version has migrated its own schema and completed
// jobs of it. Jobs are enqueued there as soon as there is one.
func (s *story) expectPreview(ctx context.Context, r *rollout.Revision) error {
	schema := s.board.preview(r)
	return s.await(ctx, func(ctx context.Context) (string, error) {
		live, err := s.board.live(ctx, []string{schema}, r)
		if err != nil {
			return "", err
		}
		if len(live) == 0 {
			return fmt.Sprintf("version %s, in preview, does not serve schema %s", r.Version, schema), nil
		}
		s.trickle.lead(schema)
		all, err := s.board.claimed(ctx, schema, time.Time{})
		if err != nil || all[r.Version].Done >= expectJobs {
			return "", err
		}
		return fmt.Sprintf("version %s, in preview, has completed %d of %d jobs of schema %s", r.Version, all[r.Version].Done, expectJobs, schema), nil
	})
}
