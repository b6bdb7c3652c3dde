package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample are three rounds of two systems, of one measure each compares and one
// that only Understudy has.
var sample = &report{
	Machine:  "2 cores",
	Settings: map[string]string{"server_version": "15.1", "fsync": "on"},
	Versions: map[string]string{"River": "v0.51.2"},
	Results: []result{
		sampleDrain(understudyKey, 1, 60_000, 500), sampleDrain(riverKey, 1, 10_000, 760),
		sampleDrain(riverKey, 2, 12_040, 760), sampleDrain(understudyKey, 2, 61_234, 500),
		sampleDrain(understudyKey, 3, 50_000, 500), sampleDrain(riverKey, 3, 12_500, 760),
		{
			System: understudyKey, Measure: "swap", Variant: "idle", Label: "idle", Round: 1,
			Figures: map[string]float64{"p50_ms": 50.04, "p99_ms": 61.2, "max_ms": 345, "p50_after_drain_ms": 2, "p99_after_drain_ms": 3},
		},
	},
}

func sampleDrain(system string, round int, rate, wal float64) result {
	return result{
		System: system, Measure: "drain", Variant: variantSmall, Label: "200,000 waiting jobs", Round: round,
		Figures: map[string]float64{"jobs_per_s": rate, "wal_enqueue_per_job": wal},
	}
}

const sampleTables = `Measured on 2 cores, with Postgres 15.1 fsync=on. River v0.51.2.
Median of 3 rounds (least–most); the ratio is the median of the rounds' ratios.

### Throughput and latency

| | Understudy | River | Understudy ÷ River |
|---|---:|---:|---:|
| drain 200,000 waiting jobs, jobs/s | 60,000 (50,000–61,200) | 12,000 (10,000–12,500) | 5.09 |

### What a job costs

| | Understudy | River | Understudy ÷ River |
|---|---:|---:|---:|
| WAL to enqueue it, bytes | 500 | 760 | 0.66 |

### From the rename of a pod's files to the first job on the new target, ms

| | p50 | p99 | max | p50 after the drain | p99 after the drain |
|---|---:|---:|---:|---:|---:|
| idle | 50.0 | 61.2 | 345 | 2.00 | 3.00 |
`

func TestTablesCompareMediansAndRounds(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	if err := writeTables(sample, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleTables, got.String()); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
}

func TestTheRatioIsOfTheSameRound(t *testing.T) {
	t.Parallel()
	// Between the rounds the machine became ten times as fast.
	r := &report{Results: []result{
		sampleDrain(understudyKey, 1, 20, 0), sampleDrain(riverKey, 1, 10, 0),
		sampleDrain(understudyKey, 2, 200, 0), sampleDrain(riverKey, 2, 100, 0),
		sampleDrain(understudyKey, 3, 300, 0), // River's third has not been measured
	}}
	if ratio, ok := r.ratio(understudyKey, riverKey, place{"drain", variantSmall, "jobs_per_s"}); !ok || ratio != 2 {
		t.Errorf("ratio %v, %v; want 2", ratio, ok)
	}
	if ratio, ok := r.ratio(understudyKey, gueKey, place{"drain", variantSmall, "jobs_per_s"}); ok {
		t.Errorf("ratio %v to a system that was not measured", ratio)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{7}, 7}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	values := make([]int, 100)
	for i := range values {
		values[len(values)-1-i] = i + 1
	}
	want := map[string]int{"p50": 51, "p95": 96, "p99": 100, "max": 100}
	if diff := cmp.Diff(want, quantiles(values)); diff != "" {
		t.Errorf("quantiles of 1 to 100 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"p50": 3, "p95": 3, "p99": 3, "max": 3}, quantiles([]int{3})); diff != "" {
		t.Errorf("quantiles of one value (-want +got):\n%s", diff)
	}
}

func TestFiguresAreWrittenShort(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]string{
		0: "0.00", 0.664: "0.66", 9.5: "9.50", 12.34: "12.3", 723.7: "724", 999.9: "1000", 1234: "1,230", 60_460: "60,500", 1_234_567: "1,230,000",
	} {
		if got := number(value); got != want {
			t.Errorf("%v is written %q, want %q", value, got, want)
		}
	}
	for value, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 10_000_000: "10,000,000", -1234: "-1,234"} {
		if got := commas(value); got != want {
			t.Errorf("%d is written %q, want %q", value, got, want)
		}
	}
}

func TestAnotherSystemComesFirstInEachRound(t *testing.T) {
	t.Parallel()
	all := []string{"a", "b", "c"}
	var got []string
	for round := range 4 {
		got = append(got, strings.Join(rotate(all, round), ""))
	}
	if diff := cmp.Diff([]string{"abc", "bca", "cab", "abc"}, got); diff != "" {
		t.Errorf("order by round (-want +got):\n%s", diff)
	}
}
