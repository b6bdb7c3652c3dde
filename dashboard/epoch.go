package dashboard

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/understudy-worker/understudy"
)

// EpochMetrics are the metrics of one epoch. Its methods are those that a
// worker's observer has. Started costs about 0.1 µs and
// Finished 0.3. End it when the epoch is over.
type EpochMetrics struct {
	metrics *Metrics
	role    string
	kinds   series[*kindMetrics]
	queues  series[prometheus.Observer]
}

// kindMetrics are the series of one kind of job in one role.
type kindMetrics struct {
	duration prometheus.Observer
	outcomes [understudy.Released + 1]prometheus.Counter // by verdict, from 1
}

// Epoch is what the worker of an epoch at that place, which begins now, reports
// to. The kinds are those that it has a handler for, the queues those that it
// works: jobs of any other count as Other. One epoch lasts at a time.
func (m *Metrics) Epoch(place understudy.Place, kinds, queues []string) *EpochMetrics {
	role := label(place.Role)
	m.journal.begin(place)
	return &EpochMetrics{
		metrics: m,
		role:    role,
		kinds:   series[*kindMetrics]{values: kinds, find: func(kind string) *kindMetrics { return m.kind(label(kind), role) }},
		queues:  series[prometheus.Observer]{values: queues, find: func(queue string) prometheus.Observer { return m.wait.WithLabelValues(label(queue), role) }},
	}
}

func (m *Metrics) kind(kind, role string) *kindMetrics {
	k := &kindMetrics{duration: m.duration.WithLabelValues(kind, role)}
	for _, verdict := range understudy.Verdicts { // so that a first one shows as an increase
		k.outcomes[verdict] = m.finished.WithLabelValues(kind, verdict.String(), role)
	}
	return k
}

// End tells that the epoch is over.
func (e *EpochMetrics) End() { e.metrics.journal.end() }

// Claimed tells of a claim: how many jobs were asked for and came.
func (e *EpochMetrics) Claimed(_ string, _, got int, err error) {
	e.metrics.claims.Inc()
	if err == nil {
		e.metrics.size.Observe(float64(got))
	}
}

// Started tells that a handler is about to be called, and how long the job had been due.
func (e *EpochMetrics) Started(job *understudy.Job, wait time.Duration) {
	e.queues.of(job.Queue).Observe(max(wait, 0).Seconds())
}

// Finished tells how a job ended. One that took no time at all never ran, and
// has no duration.
func (e *EpochMetrics) Finished(o understudy.Outcome, took time.Duration) {
	kind := e.kinds.of(o.Job.Kind)
	if o.Verdict >= understudy.Completed && o.Verdict <= understudy.Released {
		kind.outcomes[o.Verdict].Inc()
	} else {
		e.metrics.finished.WithLabelValues(label(e.kinds.named(o.Job.Kind)), o.Verdict.String(), e.role).Inc()
	}
	e.metrics.journal.add(o, took)
	if took > 0 {
		kind.duration.Observe(took.Seconds())
	}
}

// Recorded tells of one write of outcomes. No metric shows it.
func (e *EpochMetrics) Recorded(int, time.Duration, error) {}

// Fenced tells of outcomes that were refused, as others have the jobs now.
func (e *EpochMetrics) Fenced(outcomes int) { e.metrics.fenced.Add(float64(outcomes)) }

// Renewed tells of a renewal of the lease.
func (e *EpochMetrics) Renewed(err error) {
	e.metrics.renewals.WithLabelValues(renewalOutcome(err)).Inc()
}

// Rescued tells of jobs that were taken back from lost workers.
func (e *EpochMetrics) Rescued(jobs int) { e.metrics.rescued.Add(float64(jobs)) }

// Housekept tells of one try of a task of housekeeping.
func (e *EpochMetrics) Housekept(task string, err error) {
	e.metrics.tasks.WithLabelValues(task, renewalOutcome(err)).Inc()
}
