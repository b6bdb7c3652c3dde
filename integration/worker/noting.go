package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/integration/internal/history"
)

// args are the arguments of every kind of job.
type args struct {
	MS    int64  // how long it takes, in milliseconds
	Times int    // how often it fails before it succeeds
	How   string // which of the hostilities it is
}

func (a args) takes() time.Duration { return time.Duration(a.MS) * time.Millisecond }

// work is what a kind of job does.
type work func(ctx context.Context, job *understudy.Job, a args) error

// noting notes in the ledger when each attempt begins and how it ends.
type noting struct {
	ledger        *history.Ledger
	target, place string
}

func (n noting) handler(do work) understudy.Handler {
	return understudy.HandlerFunc(func(ctx context.Context, job *understudy.Job) error {
		var a args
		if err := json.Unmarshal(job.Args, &a); err != nil {
			return understudy.Discard(err)
		}
		run, err := n.ledger.Begin(job, n.target, n.place)
		if err != nil {
			return err
		}
		err = do(ctx, job, a)
		if noteErr := run.Return(ctx, err); noteErr != nil {
			return errors.Join(err, noteErr)
		}
		return err
	})
}
