package main

import "time"

// sizes say how much is measured.
type sizes struct {
	concurrency int // jobs that an Understudy worker runs at a time

	drain      int // jobs of a drain
	largeDrain int
	gueDrain   int // gue is slower, and its rate does not depend on it

	sustainWarmUp, sustain time.Duration
	sustainOpen            int // jobs that a producer keeps open

	latencyRate            int // jobs a second
	latencyWarmUp, latency time.Duration

	singles, pairs, batches int // jobs enqueued: on one connection, on eight, in batches

	finished, scheduled int // rows of the history
	passing             int // jobs that pass under a held snapshot
	passingTime         time.Duration
	underWatch          time.Duration // what is measured of a system that they did not pass

	processes      []int
	processesDrain int // jobs that Understudy drains then, which takes long beside the start of its connections

	idleSwaps, loadSwaps int
	swapPause            time.Duration
	swapOpen             int // jobs that each target has at first

	slowJobs, slowestJobs int
	slow, slowest         time.Duration
	slowSlots             int
	slowestSlots          int
}

// sizesOf are the sizes of a real run, or of a quick one.
func sizesOf(quick bool, concurrency int) sizes {
	if quick {
		return quickSizes(concurrency)
	}
	return sizes{
		concurrency: concurrency,
		drain:       200_000, largeDrain: 1_000_000, gueDrain: 50_000,
		sustainWarmUp: 5 * time.Second, sustain: time.Minute, sustainOpen: 20_000,
		latencyRate: 500, latencyWarmUp: time.Second, latency: 20 * time.Second,
		singles: 5_000, pairs: 20_000, batches: 200_000,
		finished: 10_000_000, scheduled: 1_000_000,
		passing: 1_000_000, passingTime: 5 * time.Minute, underWatch: 30 * time.Second,
		processes: []int{1, 2, 4, 8}, processesDrain: 2_000_000,
		idleSwaps: 200, loadSwaps: 60, swapPause: 200 * time.Millisecond, swapOpen: 1_500_000,
		slowJobs: 200_000, slow: 10 * time.Millisecond, slowSlots: 100,
		slowestJobs: 40_000, slowest: time.Second, slowestSlots: 2_000,
	}
}

func quickSizes(concurrency int) sizes {
	return sizes{
		concurrency: concurrency,
		drain:       2_000, largeDrain: 3_000, gueDrain: 300,
		sustainWarmUp: 100 * time.Millisecond, sustain: 500 * time.Millisecond, sustainOpen: 2_000,
		latencyRate: 100, latencyWarmUp: 100 * time.Millisecond, latency: 500 * time.Millisecond,
		singles: 50, pairs: 80, batches: 2_000,
		finished: 10_000, scheduled: 2_000,
		passing: 3_000, passingTime: 5 * time.Minute, underWatch: time.Second,
		processes: []int{1, 2}, processesDrain: 3_000,
		idleSwaps: 4, loadSwaps: 4, swapPause: 150 * time.Millisecond, swapOpen: 80_000,
		slowJobs: 1_000, slow: 10 * time.Millisecond, slowSlots: 100,
		slowestJobs: 400, slowest: 100 * time.Millisecond, slowestSlots: 200,
	}
}
