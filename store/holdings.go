package store

import (
	"sync"

	"github.com/understudy-worker/understudy"
)

// holdings are an epoch's claims that are under way, or have jobs whose
// outcome is not written yet. What the database has and they have not is a
// claim whose reply was lost.
type holdings struct {
	mu     sync.Mutex
	last   int64                        // number of the last claim
	claims map[int64]map[int64]struct{} // jobs by claim; nil while it is under way
	empty  []int64                      // claims that several writes emptied together, to be dropped by the next
}

// begin counts a claim and notes that it is under way.
func (h *holdings) begin() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	h.claims[h.last] = nil
	return h.last
}

// settle notes which jobs a claim brought.
func (h *holdings) settle(number int64, jobs []*understudy.Job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(jobs) == 0 {
		delete(h.claims, number)
		return
	}
	ids := make(map[int64]struct{}, len(jobs))
	for _, job := range jobs {
		ids[job.ID] = struct{}{}
	}
	h.claims[number] = ids
}

// known lists the claims that are held or under way, and the number that the
// next claim will have: what is below it and not listed is nobody's.
func (h *holdings) known() (numbers []int64, next int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	numbers = make([]int64, 0, len(h.claims))
	for number := range h.claims {
		numbers = append(numbers, number)
	}
	return numbers, h.last + 1
}

// emptiedBy lists the claims that hold nothing once the outcomes are written,
// each for one write only: what that fails to drop, a later Reconcile does.
// Outcomes that were written before, or come twice, make no difference.
func (h *holdings) emptiedBy(outcomes []understudy.Outcome) []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	written := map[int64]map[int64]struct{}{}
	emptied := h.empty
	h.empty = nil
	for i := range outcomes {
		job := outcomes[i].Job
		held, gone := h.claims[job.Claim.Number], written[job.Claim.Number]
		if _, ok := held[job.ID]; !ok {
			continue
		}
		if gone == nil {
			gone = make(map[int64]struct{}, len(held))
			written[job.Claim.Number] = gone
		}
		if gone[job.ID] = struct{}{}; len(gone) == len(held) {
			emptied = append(emptied, job.Claim.Number)
		}
	}
	return emptied
}

// drop notes that the outcomes are written, and the claims that went with them.
func (h *holdings) drop(outcomes []understudy.Outcome, dropped []int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, number := range dropped {
		delete(h.claims, number)
	}
	for i := range outcomes {
		claim := outcomes[i].Job.Claim
		held, ok := h.claims[claim.Number]
		if !ok || held == nil {
			continue
		}
		if delete(held, outcomes[i].Job.ID); len(held) == 0 {
			delete(h.claims, claim.Number)
			h.empty = append(h.empty, claim.Number)
		}
	}
}
