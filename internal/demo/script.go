package demo

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/understudy-worker/understudy/internal/rollout"
)

// The verbs of steps.
const (
	verbPromote = "promote"
	verbAbort   = "abort"
	verbUndo    = "undo"
	verbNew     = "new"
	verbKill    = "kill"
	verbWait    = "wait"
	verbQuit    = "quit"
)

// verbs lists the steps as help texts name them.
const verbs = "promote, abort, undo, new, kill, wait:5s, quit"

// step is one thing to do.
type step struct {
	verb string
	wait time.Duration // of verbWait
}

// titles are what buttons call the steps that have one, in their order.
var titles = []struct{ verb, title string }{
	{verbPromote, "Promote"}, {verbAbort, "Abort"}, {verbUndo, "Undo"}, {verbNew, "New version"}, {verbKill, "Kill the active worker"},
}

// doing says that a step is under way.
func (s step) doing() string {
	what := s.verb
	for _, t := range titles {
		if t.verb == s.verb {
			what = strings.ToLower(t.title)
		}
	}
	return what + " is under way"
}

// keyVerbs are the steps by the key that asks for them.
var keyVerbs = map[byte]string{
	'p': verbPromote, 'a': verbAbort, 'u': verbUndo, 'n': verbNew, 'k': verbKill, 'q': verbQuit,
}

// parseScript reads steps that commas divide, and tries them in thought: a
// script with a step that cannot be done is an error.
func parseScript(script string) ([]step, error) {
	var steps []step
	for word := range strings.SplitSeq(script, ",") {
		s, err := parseStep(strings.TrimSpace(word))
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	return steps, rehearse(steps)
}

func parseStep(word string) (step, error) {
	verb, length, timed := strings.Cut(word, ":")
	switch verb {
	case verbPromote, verbAbort, verbUndo, verbNew, verbKill, verbQuit:
		if !timed {
			return step{verb: verb}, nil
		}
	case verbWait:
		d, err := time.ParseDuration(length)
		if err != nil || d < 0 {
			return step{}, fmt.Errorf("step %q: say how long, such as wait:5s", word)
		}
		return step{verb: verb, wait: d}, nil
	}
	return step{}, fmt.Errorf("step %q is unknown: use %s", word, verbs)
}

// rehearse tries the steps on a rollout without pods, as far as it has one
// version active and one in preview when they begin.
func rehearse(steps []step) error {
	h := &rollout.History{}
	h.Deploy(&rollout.Revision{})
	h.Deploy(&rollout.Revision{})
	for i, s := range steps {
		var err error
		switch s.verb {
		case verbPromote:
			_, _, err = h.Promote()
		case verbAbort:
			_, err = h.Abort()
		case verbUndo:
			_, _, err = h.Undo()
		case verbNew:
			h.Deploy(&rollout.Revision{})
		case verbQuit:
			if i < len(steps)-1 {
				err = errors.New("quit: steps follow it: make it the last one")
			}
		}
		if err != nil {
			return fmt.Errorf("step %d cannot be done: %w", i+1, err)
		}
	}
	return nil
}
