package main

import (
	"testing"
	"time"
)

func TestWhatDoesNotPassInTimeIsMeasuredAllTheSame(t *testing.T) {
	s := testServer(t)
	z := quickSizes(10)
	z.passingTime, z.underWatch = time.Nanosecond, 300*time.Millisecond
	var got []result
	trial := &trial{
		options: options{sizes: z}, server: s, system: riverSystem(), measure: heldMeasure, round: 1,
		record: func(r result) error { got = append(got, r); return nil },
	}
	if err := heldMeasure.run(t.Context(), trial); err != nil {
		t.Fatal(err)
	}
	held := got[len(got)-1]
	if held.Variant != variantHeld || held.Figures["passed"] != 0 || held.Figures["jobs_per_s"] <= 0 {
		t.Errorf("under a held snapshot: %v; want no job that passed in time, and a rate", held)
	}
}
