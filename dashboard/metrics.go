package dashboard

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/understudy-worker/understudy"
)

// namespace begins the name of every metric.
const namespace = "understudy"

// Bounds of the histograms.
var (
	secondsBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800}
	claimBuckets   = []float64{0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000}
)

// Metrics counts what a process does, across its epochs, and remembers the last
// of it for its page. Make it with NewMetrics. It is safe for concurrent use.
type Metrics struct {
	journal  *journal
	finished *prometheus.CounterVec
	duration *prometheus.HistogramVec
	wait     *prometheus.HistogramVec
	swap     *prometheus.HistogramVec
	claims   prometheus.Counter
	size     prometheus.Histogram
	renewals *prometheus.CounterVec
	rescued  prometheus.Counter
	fenced   prometheus.Counter
	tasks    *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them, with those that sources
// tell at each scrape. It panics if reg has any of them already, as
// MustRegister does: that is a mistake in the program.
func NewMetrics(reg prometheus.Registerer, sources Sources) *Metrics {
	m := &Metrics{
		journal:  newJournal(),
		finished: counters("jobs_finished_total", "Attempts that ended, by outcome.", "kind", "outcome", "role"),
		duration: histograms("job_duration_seconds", "How long handlers ran.", secondsBuckets, "kind", "role"),
		wait:     histograms("job_wait_seconds", "How long jobs had been due when their handler started.", secondsBuckets, "queue", "role"),
		swap:     histograms("swap_seconds", "How long the phases of a change of role took.", secondsBuckets, "phase"),
		claims:   counter("claims_total", "Claims that were sent, also those that found nothing or went wrong."),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "claim_size", Help: "Jobs that a claim brought.", Buckets: claimBuckets,
		}),
		renewals: counters("lease_renewals_total", "Renewals of the lease: ok, error, or lost for good.", "outcome"),
		rescued:  counter("rescued_jobs_total", "Jobs that were taken back from lost workers."),
		fenced:   counter("fenced_writes_total", "Outcomes that were refused, as other workers have the jobs now."),
		tasks:    counters("housekeeping_total", "Tries of housekeeping tasks: ok or error.", "task", "outcome"),
	}
	for _, outcome := range []string{renewed, renewalFailed, leaseLost} { // so that a first one shows as an increase
		m.renewals.WithLabelValues(outcome)
	}
	for _, task := range []string{"promote", "rescue", "prune"} { // worker's
		m.tasks.WithLabelValues(task, renewed)
		m.tasks.WithLabelValues(task, renewalFailed)
	}
	reg.MustRegister(m.finished, m.duration, m.wait, m.swap, m.claims, m.size, m.renewals, m.rescued, m.fenced, m.tasks, newCollector(sources))
	return m
}

// Swap tells how long a phase of a change of role took: it fits the Observe of
// the supervisor's options.
func (m *Metrics) Swap(phase string, took time.Duration) {
	m.swap.WithLabelValues(phase).Observe(took.Seconds())
	if phase == "swap" {
		m.journal.swap(took)
	}
}

// The outcomes of a renewal.
const (
	renewed       = "ok"
	renewalFailed = "error"
	leaseLost     = "lost"
)

func renewalOutcome(err error) string {
	switch {
	case err == nil:
		return renewed
	case errors.Is(err, understudy.ErrEpochOver):
		return leaseLost
	}
	return renewalFailed
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}
