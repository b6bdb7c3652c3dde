package store

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
)

func TestAChunkIsBoundedInJobsAndInBytes(t *testing.T) {
	t.Parallel()
	small, great := "{}", strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		jobs           int
		args, metadata *string
		want           []int // where chunks end
	}{
		"none":            {0, nil, nil, nil},
		"one":             {1, &great, nil, []int{1}},
		"as many as fit":  {10_000, &small, nil, []int{10_000}},
		"one more":        {10_001, nil, &small, []int{10_000, 10_001}},
		"bytes of args":   {40, &great, nil, []int{16, 32, 40}},
		"and of metadata": {40, &great, &great, []int{8, 16, 24, 32, 40}},
	} {
		all := &columns{kinds: make([]string, c.jobs), args: slices.Repeat([]*string{c.args}, c.jobs), metadata: slices.Repeat([]*string{c.metadata}, c.jobs)}
		var got []int
		for start := 0; start < all.len(); start = got[len(got)-1] {
			got = append(got, all.chunk(start))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: chunks end at (-want +got):\n%s", name, diff)
		}
	}
}

// holding is a claim of the jobs 1 to n.
func holding(jobs int64) (h *holdings, number int64, outcomes func(ids ...int64) []understudy.Outcome) {
	h = &holdings{claims: map[int64]map[int64]struct{}{}}
	number = h.begin()
	job := func(id int64) *understudy.Job {
		return &understudy.Job{ID: id, Claim: understudy.Claim{Number: number}}
	}
	var claimed []*understudy.Job
	for id := range jobs {
		claimed = append(claimed, job(id+1))
	}
	h.settle(number, claimed)
	return h, number, func(ids ...int64) (outcomes []understudy.Outcome) {
		for _, id := range ids {
			outcomes = append(outcomes, understudy.Outcome{Job: job(id)})
		}
		return outcomes
	}
}

func TestAnOutcomeThatComesTwiceEmptiesNoClaim(t *testing.T) {
	t.Parallel()
	h, number, outcomes := holding(3)
	for _, step := range []struct{ ids, want []int64 }{
		{[]int64{1, 1, 1}, nil},
		{[]int64{1, 2}, nil},
		{[]int64{2, 1, 2}, nil},
		{[]int64{2, 3}, []int64{number}},
		{[]int64{3}, nil},
	} {
		emptied := h.emptiedBy(outcomes(step.ids...))
		h.drop(outcomes(step.ids...), emptied)
		if diff := cmp.Diff(step.want, emptied); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", step.ids, diff)
		}
	}
	if numbers, next := h.known(); len(numbers) != 0 || next != number+1 {
		t.Errorf("known are %v, the next is %d", numbers, next)
	}
}

func TestAClaimThatTwoWritesEmptyTogetherIsDroppedByTheNext(t *testing.T) {
	t.Parallel()
	h, number, outcomes := holding(2)
	first, second := h.emptiedBy(outcomes(1)), h.emptiedBy(outcomes(2))
	h.drop(outcomes(2), second)
	h.drop(outcomes(1), first)
	if len(first) > 0 || len(second) > 0 {
		t.Errorf("a write that left the other's job dropped the claim: %v, %v", first, second)
	}
	if numbers, _ := h.known(); len(numbers) != 0 {
		t.Errorf("known are %v: a Reconcile would not drop what no write comes for", numbers)
	}
	if diff := cmp.Diff([]int64{number}, h.emptiedBy(nil)); diff != "" {
		t.Errorf("the next write drops (-want +got):\n%s", diff)
	}
	if again := h.emptiedBy(nil); len(again) != 0 {
		t.Errorf("the one after drops %v too", again)
	}
}
