package browser_test

import (
	"testing"

	"github.com/understudy-worker/understudy/store"
)

func TestEveryPageOfAWorkerCanBeUsedByEverybodyOnEveryScreen(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	active, idle := s.start("active"), s.start("")
	s.enqueue(store.NewJob{Kind: "echo", Args: map[string]string{"name": "Ada"}})
	s.enqueue(store.NewJob{Kind: "fail", MaxAttempts: 1})
	s.enqueue(store.NewJob{Kind: "nobodys"})
	for _, how := range []look{desktop, phone} {
		tb := open(t, active.url("/"), how)
		tb.says("#finished", "completed")
		tb.says("#failures", "discarded")
		tb.usable()
		tb.visit(idle.url("/"))
		tb.says("#band", "Idle")
		tb.usable()
	}
}
