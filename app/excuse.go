package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/supervisor"
	"github.com/understudy-worker/understudy/worker"
)

// excusedDelay is when a job runs again whose attempt met nothing but a standby.
const excusedDelay = time.Second

// excused are the program's own handlers, which work on the epoch's pool. An
// attempt that failed since the pool's sessions were of a standby is not charged:
// no attempt would have gone better.
func (s *server) excused(own understudy.Handlers, env supervisor.Env) understudy.Handlers {
	excused := make(understudy.Handlers, len(own))
	for kind, handler := range own {
		if handler != nil { // worker.New complains of one that is
			excused[kind] = &excusedHandler{next: handler, env: env, log: s.log}
		} else {
			excused[kind] = nil
		}
	}
	return excused
}

type excusedHandler struct {
	next understudy.Handler
	env  supervisor.Env
	log  *slog.Logger
}

func (h *excusedHandler) Handle(ctx context.Context, job *understudy.Job) error {
	began := time.Now()
	err := h.next.Handle(ctx, job)
	if err == nil || job.MarkedCompleted() || !h.metStandby(ctx, job, began, err) {
		return err
	}
	h.log.Warn("a job failed on a standby and will be tried again, uncharged", "job", job.ID, "kind", job.Kind, "error", err)
	return understudy.Snooze(excusedDelay)
}

// lookTimeout bounds the look at the pool's sessions after an attempt that failed.
const lookTimeout = 2 * time.Second

// metStandby says whether the attempt would be charged, and a standby is to blame.
func (h *excusedHandler) metStandby(ctx context.Context, job *understudy.Job, began time.Time, err error) (met bool) {
	defer func() {
		if recover() != nil { // a handler's own error type may panic: the worker says what it is
			met = false
		}
	}()
	var discard *understudy.DiscardError
	switch worker.Judge(job, err, context.Cause(ctx)).Verdict {
	case understudy.Retried:
	case understudy.Discarded: // for its last attempt, unless the handler says so
		if errors.As(err, &discard) {
			return false
		}
	default:
		return false
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	return h.env.MetStandby(limited, began, err)
}
