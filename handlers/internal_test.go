package handlers

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		value, date string
		want        time.Duration
	}{
		{value: ""},
		{value: "soon"},
		{value: "-5"},
		{value: "1.5"},
		{value: "0"},
		{value: " 120 ", want: 2 * time.Minute},
		{value: "86401", want: 24 * time.Hour},
		{value: "99999999999999999999999", want: 24 * time.Hour},
		{value: "Sun, 01 Mar 2026 12:00:30 GMT", want: 30 * time.Second},
		{value: "Sun, 01 Mar 2026 12:00:30 GMT", date: "Sun, 01 Mar 2026 12:00:20 GMT", want: 10 * time.Second},
		{value: "Sun, 01 Mar 2026 12:00:30 GMT", date: "yesterday", want: 30 * time.Second},
		{value: "Sun, 01 Mar 2026 11:00:00 GMT"},
		{value: "Fri, 01 Mar 2030 12:00:00 GMT", want: 24 * time.Hour},
	} {
		header := http.Header{"Retry-After": {test.value}, "Date": {test.date}}
		if got := retryAfter(header, now); got != test.want {
			t.Errorf("Retry-After %q with Date %q: %s, want %s", test.value, test.date, got, test.want)
		}
	}
}

func FuzzRetryAfterIsWithinADay(f *testing.F) {
	f.Add("120", "")
	f.Add("Sun, 01 Mar 2026 12:00:30 GMT", "Sun, 01 Mar 2026 12:00:20 GMT")
	f.Add("Sun, 01 Mar 9999 12:00:30 GMT", "Sun, 01 Mar 0001 12:00:20 GMT")
	f.Fuzz(func(t *testing.T, value, date string) {
		header := http.Header{"Retry-After": {value}, "Date": {date}}
		if got := retryAfter(header, time.Unix(1_700_000_000, 0)); got < 0 || got > 24*time.Hour {
			t.Errorf("%s", got)
		}
	})
}

func TestTailKeepsTheLastBytes(t *testing.T) {
	t.Parallel()
	var all []byte
	var kept tail
	for i := range 3 * tailBytes {
		piece := make([]byte, i%7)
		for j := range piece {
			piece[j] = byte(i + j)
		}
		all = append(all, piece...)
		kept.Write(piece)
		if want := all[max(0, len(all)-tailBytes):]; string(kept.kept) != string(want) {
			t.Fatalf("after %d bytes: other bytes than the last %d are kept", len(all), len(want))
		}
	}
	long := make([]byte, tailBytes+1)
	long[1] = 'x'
	if kept.Write(long); string(kept.kept) != string(long[1:]) {
		t.Error("of one long write other bytes than the last are kept")
	}
}

func TestAJobThatIsLateAlreadyStartsNothing(t *testing.T) {
	t.Parallel()
	cause := errors.New("the drain's deadline")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	// Starting it would be another error.
	gone := program{path: "/no/such/program"}
	if _, err := gone.run(ctx, nil, nil); err != cause {
		t.Errorf("error %v, want the context's cause", err)
	}
}
