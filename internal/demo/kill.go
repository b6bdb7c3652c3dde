package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/rollout"
	"github.com/understudy-worker/understudy/store"
)

// What is running when the active worker is killed.
const (
	burstJobs   = 20
	burstLength = 3 * time.Second
)

// kill kills the active version's process in the middle of jobs, starts it
// again as a kubelet does, and sees that the jobs are rescued.
func (s *story) kill(ctx context.Context) error {
	active := s.rollout.Active()
	s.say("> kill the worker of %s, the active one", active.Version)
	epoch, err := s.onlyEpoch(ctx, active)
	if err != nil {
		return err
	}
	burst, err := s.trickle.burst(ctx, burstJobs, burstLength)
	if err != nil {
		return err
	}
	if err := s.awaitRunning(ctx, burst); err != nil {
		return err
	}
	pod := s.cluster.pod(active)
	s.recorder.kill(epoch.ID)
	pod.kill()
	killed := time.Now()
	held, err := s.held(ctx, burst, epoch.ID)
	if err != nil {
		return err
	}
	s.say("%s: killed with %d jobs in hand; its lease, of %s, is yet to run out", active.Version, len(held), lease)
	if err := pod.restart(); err != nil {
		return err
	}
	return s.expectRescue(ctx, held, killed)
}

// onlyEpoch is the epoch of the active version in production.
func (s *story) onlyEpoch(ctx context.Context, r *rollout.Revision) (epoch store.WorkerRow, err error) {
	err = s.await(ctx, func(ctx context.Context) (string, error) {
		live, err := s.board.live(ctx, []string{s.board.production}, r)
		if err != nil {
			return "", err
		}
		live = slices.DeleteFunc(live, func(w store.WorkerRow) bool { return w.State != "serving" || s.recorder.wasKilled(w.ID) })
		if len(live) != 1 {
			return fmt.Sprintf("version %s, the active one, has %d epochs in schema %s", r.Version, len(live), s.board.production), nil
		}
		epoch = live[0]
		return "", nil
	})
	return epoch, err
}

// awaitRunning waits until all of the jobs run.
func (s *story) awaitRunning(ctx context.Context, ids []int64) error {
	return s.await(ctx, func(ctx context.Context) (string, error) {
		jobs, err := s.board.jobs(ctx, s.board.production, ids)
		if err != nil {
			return "", err
		}
		for _, job := range jobs {
			if job.State == understudy.StateAvailable {
				return fmt.Sprintf("job %d is not worked", job.ID), nil
			}
		}
		return "", nil
	})
}

// held are those of the jobs that an epoch has claimed and not finished.
func (s *story) held(ctx context.Context, ids []int64, epoch string) ([]int64, error) {
	jobs, err := s.board.jobs(ctx, s.board.production, ids)
	if err != nil {
		return nil, err
	}
	var held []int64
	for _, job := range jobs {
		if job.State == understudy.StateRunning && job.WorkerID == epoch {
			held = append(held, job.ID)
		}
	}
	if len(held) == 0 {
		return nil, &brokenError{fmt.Sprintf("the worker held none of %d jobs of %s each when it was killed", len(ids), burstLength)}
	}
	return held, nil
}

// expectRescue waits until the jobs of the worker that was killed are done.
func (s *story) expectRescue(ctx context.Context, held []int64, killed time.Time) error {
	err := s.await(ctx, func(ctx context.Context) (string, error) {
		jobs, err := s.board.jobs(ctx, s.board.production, held)
		if err != nil {
			return "", err
		}
		for _, job := range jobs {
			if job.State != understudy.StateCompleted {
				return fmt.Sprintf("job %d, which the killed worker held, is %s", job.ID, job.State), nil
			}
			if job.Losses == 0 {
				return "", &brokenError{fmt.Sprintf("job %d was completed, and the loss of its worker is not noted", job.ID)}
			}
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	s.say("ok: all %d jobs were rescued, and done %.1f s after the kill, %s of it their own work",
		len(held), time.Since(killed).Seconds(), burstLength)
	return nil
}
