package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAScriptIsReadStepByStep(t *testing.T) {
	t.Parallel()
	got, err := parseScript("promote, undo,promote,new,wait:1.5s,abort,kill,quit")
	if err != nil {
		t.Fatal(err)
	}
	want := []step{
		{verb: "promote"}, {verb: "undo"}, {verb: "promote"}, {verb: "new"},
		{verb: "wait", wait: 1500 * time.Millisecond}, {verb: "abort"}, {verb: "kill"}, {verb: "quit"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(step{})); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestAScriptThatCannotBeDoneIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"":                     `step "" is unknown: use promote,`,
		"promote,dance":        `step "dance" is unknown: use promote,`,
		"promote:2s":           `step "promote:2s" is unknown`,
		"wait":                 "say how long, such as wait:5s",
		"wait:-1s":             "say how long, such as wait:5s",
		"wait:5":               "say how long, such as wait:5s",
		"promote,promote":      "step 2 cannot be done: promote: nothing is in preview",
		"undo":                 "step 1 cannot be done: undo: a version is in preview",
		"abort,undo":           "step 2 cannot be done: undo: nothing was promoted",
		"promote,undo,undo":    "step 3 cannot be done: undo: nothing was promoted",
		"abort,abort":          "step 2 cannot be done: abort: nothing is in preview",
		"promote,new,undo":     "step 3 cannot be done: undo: a version is in preview",
		"promote,quit,promote": "step 2 cannot be done: quit: steps follow it",
	} {
		if _, err := parseScript(script); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("script %q: error %v, want %q in it", script, err, want)
		}
	}
}

func TestEveryKeyIsAStep(t *testing.T) {
	t.Parallel()
	for key, verb := range keyVerbs {
		if s, err := parseStep(verb); err != nil || s.verb != verb || verb[0] != key {
			t.Errorf("key %c: step %q, error %v", key, verb, err)
		}
	}
}
