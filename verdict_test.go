package understudy_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
)

func TestAVerdictKeepsItsReason(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"discard: EOF":          understudy.Discard(io.EOF),
		"retry after 1m0s: EOF": understudy.RetryAfter(time.Minute, io.EOF),
	} {
		wrapped := fmt.Errorf("send: %w", err)
		if err.Error() != want || !errors.Is(wrapped, io.EOF) {
			t.Errorf("%q: want the text %q and its reason in the chain", err, want)
		}
	}
}

func TestAVerdictIsFoundThroughWrapping(t *testing.T) {
	t.Parallel()
	var discard *understudy.DiscardError
	if !errors.As(fmt.Errorf("send: %w", understudy.Discard(io.EOF)), &discard) || discard.Err != io.EOF {
		t.Errorf("discard: %v", discard)
	}
	var after *understudy.RetryAfterError
	if !errors.As(fmt.Errorf("send: %w", understudy.RetryAfter(time.Second, io.EOF)), &after) || after.Delay != time.Second {
		t.Errorf("retry after: %v", after)
	}
	var snooze *understudy.SnoozeError
	if !errors.As(fmt.Errorf("send: %w", understudy.Snooze(time.Second)), &snooze) || snooze.Delay != time.Second {
		t.Errorf("snooze: %v", snooze)
	}
}

func TestAVerdictWithoutAReasonIsNoSuccess(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"discard: discarded by its handler":          understudy.Discard(nil),
		"retry after 1s: retry asked by its handler": understudy.RetryAfter(time.Second, nil),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestANegativeDelayCountsAsZero(t *testing.T) {
	t.Parallel()
	var after *understudy.RetryAfterError
	if errors.As(understudy.RetryAfter(-time.Second, io.EOF), &after); after.Delay != 0 {
		t.Errorf("retry after %s", after.Delay)
	}
	if got := understudy.Snooze(-time.Second).Error(); got != "snooze for 0s" {
		t.Errorf("%s", got)
	}
}
