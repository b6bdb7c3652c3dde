package main

import (
	"cmp"
	"slices"
)

// spread is a figure over several rounds.
type spread struct{ median, least, most float64 }

// spreadOf needs one value at least.
func spreadOf(values []float64) spread {
	return spread{median(values), slices.Min(values), slices.Max(values)}
}

// median is the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// quantiles are those that latencies are told by.
func quantiles[T cmp.Ordered](values []T) map[string]T {
	sorted := slices.Sorted(slices.Values(values))
	at := func(percent int) T { return sorted[min(len(sorted)*percent/100, len(sorted)-1)] }
	return map[string]T{"p50": at(50), "p95": at(95), "p99": at(99), "max": at(100)}
}

// place is where a figure stands among the results.
type place struct{ measure, variant, figure string }

// byRound is a system's figure, by round.
func (r *report) byRound(system string, at place) map[int]float64 {
	found := map[int]float64{}
	for _, one := range r.Results {
		if one.System == system && one.Measure == at.measure && one.Variant == at.variant {
			if value, has := one.Figures[at.figure]; has {
				found[one.Round] = value
			}
		}
	}
	return found
}

// spread is a system's figure over all rounds.
func (r *report) spread(system string, at place) (s spread, ok bool) {
	rounds := r.byRound(system, at)
	var values []float64
	for _, value := range rounds {
		values = append(values, value)
	}
	if len(values) == 0 {
		return spread{}, false
	}
	return spreadOf(values), true
}

// ratio compares two systems round by round, which shared what the machine
// was like then, and is the median of that.
func (r *report) ratio(of, to string, at place) (ratio float64, ok bool) {
	others := r.byRound(to, at)
	var ratios []float64
	for round, value := range r.byRound(of, at) {
		if other, both := others[round]; both && other != 0 {
			ratios = append(ratios, value/other)
		}
	}
	if len(ratios) == 0 {
		return 0, false
	}
	return median(ratios), true
}

// variant is one of a measure's, with its text.
type variant struct{ key, label string }

// variants of a measure in the order in which they were measured first.
func (r *report) variants(measure string) []variant {
	var all []variant
	for _, one := range r.Results {
		known := slices.ContainsFunc(all, func(v variant) bool { return v.key == one.Variant })
		if one.Measure == measure && !known {
			all = append(all, variant{one.Variant, one.Label})
		}
	}
	return all
}
