package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/integration/internal/history"
)

// huge is far more than anything that is kept of a job.
func huge() string { return strings.Repeat("x", 20<<20) }

// hostilities are what handlers do that nobody should. Each of them fails its
// attempt.
var hostilities = map[string]func(job *understudy.Job) error{
	"huge error":             func(*understudy.Job) error { return errors.New(huge()) },
	"error of bytes":         func(*understudy.Job) error { return errors.New("a\x00b\xff\xfec\n\x1b[31md\u2028") },
	"empty error":            func(*understudy.Job) error { return errors.New("") },
	"error that panics":      func(*understudy.Job) error { return sullen{} },
	"nil error of a type":    func(*understudy.Job) error { return (*understudy.DiscardError)(nil) },
	"panic":                  func(*understudy.Job) error { panic("a\x00b\xff\xfec") },
	"huge panic":             func(*understudy.Job) error { panic(huge()) },
	"panic with what panics": func(*understudy.Job) error { panic(sullen{}) },
	"nil pointer":            func(*understudy.Job) error { var nobody *understudy.Job; nobody.ID++; return nil },
	"goroutine that ends":    func(*understudy.Job) error { runtime.Goexit(); return nil },
	"retry after an age":     func(*understudy.Job) error { return understudy.RetryAfter(math.MaxInt64, errors.New(huge())) },
	"retry before it failed": func(*understudy.Job) error {
		return &understudy.RetryAfterError{Delay: math.MinInt64, Err: errors.New("")}
	},
	"discard without a reason": func(*understudy.Job) error { return &understudy.DiscardError{} },
}

// hostileResults are what handlers set that a job cannot keep. Their attempts
// are done all the same.
var hostileResults = map[string]func() any{
	"result of 2 MB":          func() any { return huge()[:2<<20] },
	"result that is no value": func() any { return math.NaN() },
	"result with a NUL":       func() any { return "a\x00b" },
	"result of half a pair":   func() any { return json.RawMessage(`"\ud83d"`) },
	"result too deep":         func() any { return deep(5000) },
	"result too great":        func() any { return json.RawMessage(`1e400000`) },
	"result that grows long":  func() any { return growing(100_000) },
}

// sullen is an error that does not say what is wrong.
type sullen struct{}

func (sullen) Error() string { panic(huge()) }

func deep(depth int) json.RawMessage {
	return json.RawMessage(strings.Repeat("[", depth) + strings.Repeat("]", depth))
}

// growing is JSON whose numbers are short until somebody writes them out.
func growing(numbers int) json.RawMessage {
	return json.RawMessage("[1e1000" + strings.Repeat(",1e1000", numbers-1) + "]")
}

// hostile notes what becomes of its job before it does it: a panic leaves no time.
func (n noting) hostile() understudy.Handler {
	return understudy.Typed(func(_ context.Context, job *understudy.Job, a args) error {
		do, outcome := hostilities[a.How], history.OutcomeFailed
		if result := hostileResults[a.How]; result != nil {
			do, outcome = func(job *understudy.Job) error { return job.SetResult(result()) }, history.OutcomeCompleted
		}
		if do == nil {
			return understudy.Discard(fmt.Errorf("no hostility is called %q", a.How))
		}
		run, err := n.ledger.Begin(job, n.target, n.place)
		if err != nil {
			return err
		}
		if err := run.End(outcome, nil); err != nil {
			return err
		}
		<-time.After(a.takes())
		return do(job)
	})
}
