package handlers

import (
	"context"
	"errors"

	"github.com/understudy-worker/understudy"
)

// failArgs are the arguments of a fail job, all of them optional.
type failArgs struct {
	// Message is the text of the error.
	Message string `json:"message"`
	// Times fails the first so many attempts and completes the next; zero
	// fails every attempt.
	Times int `json:"times"`
	// Discard gives the job up rather than letting it run again.
	Discard bool `json:"discard"`
	// Panic panics rather than returning an error.
	Panic bool `json:"panic"`
}

// newFail makes the handler that fails as its job's arguments tell it to.
func newFail(*settings, understudy.Place) understudy.Handler {
	return understudy.Typed(func(_ context.Context, job *understudy.Job, args failArgs) error {
		if args.Times > 0 && job.Attempt > args.Times {
			return nil
		}
		err := errors.New(args.message())
		switch {
		case args.Panic:
			panic(err)
		case args.Discard:
			return understudy.Discard(err)
		}
		return err
	})
}

// message is what the error says.
func (a failArgs) message() string {
	if a.Message == "" {
		return "failed as its arguments asked"
	}
	return a.Message
}
