package handlers

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/understudy-worker/understudy"
)

// execHandler works a job by running a program. The package's documentation
// lists its settings.
type execHandler struct {
	place   understudy.Place
	program program
	timeout time.Duration
	discard []int
}

// newExec makes an execHandler, once the program is found.
func newExec(s *settings, place understudy.Place) understudy.Handler {
	return &execHandler{
		place:   place,
		program: readProgram(s),
		timeout: s.duration("timeout", 0),
		discard: exitCodes(s),
	}
}

// Handle runs the program and judges how it ended.
func (h *execHandler) Handle(ctx context.Context, job *understudy.Job) error {
	limited, cancel := limit(ctx, h.timeout, "not done")
	defer cancel()
	end, err := h.program.run(limited, arguments(job), h.variables(job))
	switch {
	case ctx.Err() != nil && (err != nil || end.stopped):
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("run %s: %w", h.name(), err)
	case end.stopped:
		return fmt.Errorf("run %s: %w: stopped%s", h.name(), context.Cause(limited), end.said())
	}
	return h.judge(job, end)
}

// judge turns the end of a program that ended by itself into a verdict.
func (h *execHandler) judge(job *understudy.Job, end ending) error {
	if end.state.Success() {
		if end.stdout.cut {
			leaveLong(job, end.stdout.kept, "max_output_bytes", end.stdout.limit)
		} else {
			keepResult(job, end.stdout.kept)
		}
		return nil
	}
	err := fmt.Errorf("run %s: %s%s", h.name(), end.state, end.said())
	if slices.Contains(h.discard, end.state.ExitCode()) {
		return understudy.Discard(err)
	}
	return err
}

// name is the program as errors name it: without its arguments, which may
// hold secrets.
func (h *execHandler) name() string { return filepath.Base(h.program.path) }

// variables are the facts about a job as environment variables.
func (h *execHandler) variables(job *understudy.Job) []string {
	var variables []string
	for _, f := range facts(job, h.place) {
		variables = append(variables, f.variable()+"="+f.value)
	}
	return variables
}
