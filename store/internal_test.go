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

func TestAnOutcomeThatComesTwiceEmptiesNoClaim(t *testing.T) {
	t.Parallel()
	h := holdings{claims: map[int64]map[int64]struct{}{}}
	number := h.begin()
	job := func(id int64) *understudy.Job {
		return &understudy.Job{ID: id, Claim: understudy.Claim{Number: number}}
	}
	h.settle(number, []*understudy.Job{job(1), job(2), job(3)})
	write := func(ids ...int64) []int64 {
		var outcomes []understudy.Outcome
		for _, id := range ids {
			outcomes = append(outcomes, understudy.Outcome{Job: job(id)})
		}
		emptied := h.emptiedBy(outcomes)
		h.drop(outcomes)
		return emptied
	}
	for _, step := range []struct{ ids, want []int64 }{
		{[]int64{1, 1, 1}, []int64{}},
		{[]int64{1, 2}, []int64{}},
		{[]int64{2, 1, 2}, []int64{}},
		{[]int64{2, 3}, []int64{number}},
		{[]int64{3}, []int64{}},
	} {
		if diff := cmp.Diff(step.want, write(step.ids...)); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", step.ids, diff)
		}
	}
	if numbers, next := h.known(); len(numbers) != 0 || next != number+1 {
		t.Errorf("known are %v, the next is %d", numbers, next)
	}
}
