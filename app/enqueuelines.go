package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// Lines go to the server in batches of at most so many, or so many bytes.
const (
	batchLines = 10_000
	batchBytes = 8 << 20
)

// maxLine is the longest line that is read: the longest arguments, and as many
// bytes of white space and escapes.
const maxLine = 2 * understudy.MaxArgsBytes

// lines enqueues a job for each line of an input.
type lines struct {
	in     *bufio.Scanner
	job    store.NewJob // of each line, but for its arguments
	client *client
	read   int // lines read so far
}

// newInput reads lines until ctx ends.
func newInput(ctx context.Context, in io.Reader) *bufio.Scanner {
	scanner := bufio.NewScanner(&interruptible{ctx, in})
	scanner.Buffer(make([]byte, 0, 64<<10), maxLine)
	return scanner
}

// batch is the jobs of some lines, and the lines' numbers.
type batch struct {
	jobs    []store.NewJob
	numbers []int
}

// enqueue enqueues all lines in one transaction, or none. It opens the
// transaction when it has something to write, so that a short input, however
// slowly it comes, holds none open.
func (l *lines) enqueue(ctx context.Context) ([]int64, error) {
	first, err := l.next()
	if err != nil || len(first.jobs) == 0 {
		return []int64{}, err
	}
	var ids []int64
	err = pgx.BeginFunc(ctx, l.client.pool, func(tx pgx.Tx) error {
		for b := first; len(b.jobs) > 0; {
			more, err := l.add(ctx, tx, b)
			if err != nil {
				return err
			}
			ids = append(ids, more...)
			if b, err = l.next(); err != nil {
				return err
			}
		}
		return nil
	})
	return ids, err
}

// next reads a batch; an empty one at the end of the input.
func (l *lines) next() (b batch, err error) {
	for size := 0; len(b.jobs) < batchLines && size < batchBytes && l.in.Scan(); {
		if l.in.Err() != nil { // it cut this line short
			break
		}
		l.read++
		text := strings.TrimSpace(strings.TrimPrefix(l.in.Text(), byteOrderMark))
		if text == "" {
			continue
		}
		job := l.job
		if job.Args, err = parseObject(text); err != nil {
			return b, usagef("line %d: %w; nothing was enqueued", l.read, err)
		}
		b.jobs, b.numbers = append(b.jobs, job), append(b.numbers, l.read)
		size += len(text)
	}
	switch err := l.in.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return b, usagef("line %d has more than %d bytes; nothing was enqueued", l.read+1, maxLine)
	case err != nil:
		return b, fmt.Errorf("read line %d: %w; nothing was enqueued", l.read+1, err)
	}
	return b, nil
}

func parseObject(text string) (any, error) {
	args, err := parseArgs(text)
	if err != nil {
		return nil, fmt.Errorf("it %w", err)
	}
	if !bytes.HasPrefix(args, []byte("{")) {
		return nil, errors.New("not an object: write one JSON object a line")
	}
	return args, nil
}

// add enqueues a batch. If the database refuses it, the error names the line.
func (l *lines) add(ctx context.Context, tx pgx.Tx, b batch) ([]int64, error) {
	ids, err := l.try(ctx, tx, b.jobs)
	if err == nil || !isOfValue(err) {
		return ids, err
	}
	for len(b.jobs) > 1 { // the fault is in the first half, or else in the second
		half := len(b.jobs) / 2
		if _, halfErr := l.try(ctx, tx, b.jobs[:half]); halfErr != nil {
			b.jobs, b.numbers = b.jobs[:half], b.numbers[:half]
		} else {
			b.jobs, b.numbers = b.jobs[half:], b.numbers[half:]
		}
	}
	if _, err := l.try(ctx, tx, b.jobs); err != nil {
		return nil, usagef("line %d: %w; nothing was enqueued", b.numbers[0], err)
	}
	return nil, err
}

// try enqueues jobs under a savepoint, so that the transaction survives a refusal.
func (l *lines) try(ctx context.Context, tx pgx.Tx, jobs []store.NewJob) (ids []int64, err error) {
	err = pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error {
		ids, err = l.client.EnqueueManyTx(ctx, savepoint, jobs)
		return err
	})
	return ids, err
}

// isOfValue says whether an error is about what a job holds.
func isOfValue(err error) bool {
	var refusal *store.Refusal
	var pgErr *pgconn.PgError
	return errors.As(err, &refusal) || errors.As(err, &pgErr) &&
		(pgerrcode.IsDataException(pgErr.Code) || pgerrcode.IsProgramLimitExceeded(pgErr.Code))
}

// interruptible is a reader whose Read returns when ctx ends. The Read
// underneath may not: nothing ends one of a terminal but the terminal. That one
// goroutine is left to the end of the process, which is near.
type interruptible struct {
	ctx context.Context
	in  io.Reader
}

// Read reads into a buffer of its own: p is the caller's again once it returns.
func (r *interruptible) Read(p []byte) (int, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		buffer := make([]byte, len(p))
		n, err := r.in.Read(buffer)
		done <- result{buffer[:n], err}
	}()
	select {
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	case got := <-done:
		return copy(p, got.data), got.err
	}
}
