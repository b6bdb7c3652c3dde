package dashboard_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
)

var (
	production = understudy.Place{Role: "active", Target: "production", Schema: "production", Version: "1.0"}
	preview    = understudy.Place{Role: "preview", Target: "preview", Schema: "preview_abc", Version: "1.0"}
)

// The kinds and queues of the workers of these tests.
var (
	kinds  = []string{"mail", "page"}
	queues = []string{"default", "urgent"}
)

// allSources tell of everything.
func allSources() dashboard.Sources {
	return dashboard.Sources{
		Status:   func() understudy.Status { return serving },
		Version:  "1.0",
		Snapshot: func() (time.Time, int64) { return time.Now(), 2 },
		Pool:     func() *dashboard.Pool { return &dashboard.Pool{Acquired: 3, Idle: 1} },
		Due: func(context.Context) ([]dashboard.Due, error) {
			return []dashboard.Due{{Queue: "default", Target: "production", Jobs: 9, OldestSeconds: 1.5}}, nil
		},
		LiveWorkers: func(context.Context) ([]dashboard.LiveWorkers, error) {
			return []dashboard.LiveWorkers{{Target: "production", Role: "active", Workers: 4}}, nil
		},
		NotificationQueue: func(context.Context) ([]dashboard.NotificationQueue, error) {
			return []dashboard.NotificationQueue{{Target: "production", Usage: 0.25}}, nil
		},
	}
}

// compare compares the samples of these metrics, leaving comments out.
func compare(t *testing.T, from prometheus.Gatherer, want []string, names ...string) {
	t.Helper()
	if diff := cmp.Diff(want, samples(t, from, names...)); diff != "" {
		t.Error(diff)
	}
}

// samples are the lines of these metrics, those of buckets left out.
func samples(t *testing.T, from prometheus.Gatherer, names ...string) []string {
	t.Helper()
	got := ask(promhttp.HandlerFor(from, promhttp.HandlerOpts{}), "GET", "/?"+url.Values{"name[]": names}.Encode())
	if got.code != 200 {
		t.Errorf("gather: %d %s", got.code, got.body)
	}
	var lines []string
	for line := range strings.Lines(got.body) {
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "_bucket{") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// use has every method called that makes series.
func use(m *dashboard.Metrics, place understudy.Place) {
	e := m.Epoch(place, kinds, queues)
	job := &understudy.Job{Kind: "mail", Queue: "default"}
	e.Claimed("default", 10, 3, nil)
	e.Started(job, 20*time.Millisecond)
	e.Finished(understudy.Outcome{Job: job, Verdict: understudy.Completed}, 30*time.Millisecond)
	e.Recorded(1, time.Millisecond, nil)
	m.Swap("drain", time.Second)
}

func TestNamesAndLabelsAreThePromisedOnes(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	use(dashboard.NewMetrics(reg, allSources()), production)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		var labels []string
		for _, pair := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, pair.GetName())
		}
		slices.Sort(labels)
		got = append(got, fmt.Sprintf("%s %s{%s}", strings.ToLower(f.GetType().String()), f.GetName(), strings.Join(labels, ",")))
	}
	slices.Sort(got)
	want := []string{
		"counter understudy_claims_total{}",
		"counter understudy_fenced_writes_total{}",
		"counter understudy_housekeeping_total{outcome,task}",
		"counter understudy_jobs_finished_total{kind,outcome,role}",
		"counter understudy_lease_renewals_total{outcome}",
		"counter understudy_rescued_jobs_total{}",
		"counter understudy_watch_rearms_total{}",
		"gauge understudy_epoch_start_time_seconds{}",
		"gauge understudy_info{role,schema,target,version}",
		"gauge understudy_jobs_due{queue,target}",
		"gauge understudy_live_workers{role,target}",
		"gauge understudy_notification_queue_usage{target}",
		"gauge understudy_oldest_due_seconds{queue,target}",
		"gauge understudy_pool_connections{state}",
		"gauge understudy_snapshot_age_seconds{}",
		"histogram understudy_claim_size{}",
		"histogram understudy_job_duration_seconds{kind,role}",
		"histogram understudy_job_wait_seconds{queue,role}",
		"histogram understudy_swap_seconds{phase}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMetricsFollowPrometheusConventions(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	use(dashboard.NewMetrics(reg, allSources()), production)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestFinishedCountsByKindOutcomeAndRole(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := dashboard.NewMetrics(reg, dashboard.Sources{})
	mail, page := &understudy.Job{Kind: "mail", Queue: "default"}, &understudy.Job{Kind: "page", Queue: "urgent"}
	active, rehearsal := m.Epoch(production, kinds, queues), m.Epoch(preview, kinds, queues)
	for range 3 {
		active.Finished(understudy.Outcome{Job: mail, Verdict: understudy.Completed}, time.Second)
	}
	active.Finished(understudy.Outcome{Job: mail, Verdict: understudy.Retried}, time.Second)
	active.Finished(understudy.Outcome{Job: mail, Verdict: understudy.Verdict(0)}, time.Second)
	rehearsal.Finished(understudy.Outcome{Job: page, Verdict: understudy.Snoozed}, 2*time.Second)
	m.Epoch(production, kinds, queues).Finished(understudy.Outcome{Job: mail, Verdict: understudy.Completed}, time.Second) // another epoch goes on counting
	want := []string{
		`understudy_jobs_finished_total{kind="mail",outcome="cancelled",role="active"} 0`,
		`understudy_jobs_finished_total{kind="mail",outcome="completed",role="active"} 4`,
		`understudy_jobs_finished_total{kind="mail",outcome="discarded",role="active"} 0`,
		`understudy_jobs_finished_total{kind="mail",outcome="released",role="active"} 0`,
		`understudy_jobs_finished_total{kind="mail",outcome="retried",role="active"} 1`,
		`understudy_jobs_finished_total{kind="mail",outcome="snoozed",role="active"} 0`,
		`understudy_jobs_finished_total{kind="mail",outcome="unknown",role="active"} 1`,
		`understudy_jobs_finished_total{kind="page",outcome="cancelled",role="preview"} 0`,
		`understudy_jobs_finished_total{kind="page",outcome="completed",role="preview"} 0`,
		`understudy_jobs_finished_total{kind="page",outcome="discarded",role="preview"} 0`,
		`understudy_jobs_finished_total{kind="page",outcome="released",role="preview"} 0`,
		`understudy_jobs_finished_total{kind="page",outcome="retried",role="preview"} 0`,
		`understudy_jobs_finished_total{kind="page",outcome="snoozed",role="preview"} 1`,
	}
	compare(t, reg, want, "understudy_jobs_finished_total")
	compare(t, reg, []string{
		`understudy_job_duration_seconds_sum{kind="mail",role="active"} 6`,
		`understudy_job_duration_seconds_count{kind="mail",role="active"} 6`,
		`understudy_job_duration_seconds_sum{kind="page",role="preview"} 2`,
		`understudy_job_duration_seconds_count{kind="page",role="preview"} 1`,
	}, "understudy_job_duration_seconds")
}

func TestAJobThatNeverRanHasNoDuration(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	e := dashboard.NewMetrics(reg, dashboard.Sources{}).Epoch(production, kinds, queues)
	e.Finished(understudy.Outcome{Job: &understudy.Job{Kind: "mail"}, Verdict: understudy.Cancelled}, 0)
	compare(t, reg, []string{
		`understudy_job_duration_seconds_sum{kind="mail",role="active"} 0`,
		`understudy_job_duration_seconds_count{kind="mail",role="active"} 0`,
	}, "understudy_job_duration_seconds")
	mustContain(t, "the counter", strings.Join(samples(t, reg, "understudy_jobs_finished_total"), "\n"), `outcome="cancelled",role="active"} 1`)
}

func TestWaitIsMeasuredByQueue(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	e := dashboard.NewMetrics(reg, dashboard.Sources{}).Epoch(production, kinds, queues)
	e.Started(&understudy.Job{Queue: "default"}, 2*time.Second)
	e.Started(&understudy.Job{Queue: "default"}, time.Second)
	e.Started(&understudy.Job{Queue: "urgent"}, -time.Second) // clocks may differ
	compare(t, reg, []string{
		`understudy_job_wait_seconds_sum{queue="default",role="active"} 3`,
		`understudy_job_wait_seconds_count{queue="default",role="active"} 2`,
		`understudy_job_wait_seconds_sum{queue="urgent",role="active"} 0`,
		`understudy_job_wait_seconds_count{queue="urgent",role="active"} 1`,
	}, "understudy_job_wait_seconds")
}

func TestAClaimThatWentWrongHasNoSize(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	e := dashboard.NewMetrics(reg, dashboard.Sources{}).Epoch(production, kinds, queues)
	e.Claimed("default", 10, 7, nil)
	e.Claimed("default", 10, 0, nil)
	e.Claimed("default", 10, 0, errors.New("connection refused"))
	compare(t, reg, []string{
		`understudy_claim_size_sum 7`, `understudy_claim_size_count 2`, `understudy_claims_total 3`,
	}, "understudy_claims_total", "understudy_claim_size")
}

func TestRenewalsTellALostLeaseFromAFailedRenewal(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	e := dashboard.NewMetrics(reg, dashboard.Sources{}).Epoch(production, kinds, queues)
	names := []string{"understudy_lease_renewals_total"}
	compare(t, reg, []string{
		`understudy_lease_renewals_total{outcome="error"} 0`,
		`understudy_lease_renewals_total{outcome="lost"} 0`,
		`understudy_lease_renewals_total{outcome="ok"} 0`,
	}, names...)
	e.Renewed(nil)
	e.Renewed(nil)
	e.Renewed(errors.New("timeout"))
	e.Renewed(fmt.Errorf("renew: %w", understudy.ErrEpochOver))
	compare(t, reg, []string{
		`understudy_lease_renewals_total{outcome="error"} 1`,
		`understudy_lease_renewals_total{outcome="lost"} 1`,
		`understudy_lease_renewals_total{outcome="ok"} 2`,
	}, names...)
}

func TestRescuedFencedAndSwapped(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := dashboard.NewMetrics(reg, dashboard.Sources{})
	e := m.Epoch(production, kinds, queues)
	e.Rescued(5)
	e.Rescued(0)
	e.Fenced(2)
	m.Swap("drain", 2*time.Second)
	m.Swap("open", time.Second)
	compare(t, reg, []string{
		`understudy_fenced_writes_total 2`,
		`understudy_rescued_jobs_total 5`,
		`understudy_swap_seconds_sum{phase="drain"} 2`,
		`understudy_swap_seconds_count{phase="drain"} 1`,
		`understudy_swap_seconds_sum{phase="open"} 1`,
		`understudy_swap_seconds_count{phase="open"} 1`,
	}, "understudy_rescued_jobs_total", "understudy_fenced_writes_total", "understudy_swap_seconds")
}

func TestHousekeepingIsCountedByTaskAndOutcome(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	e := dashboard.NewMetrics(reg, dashboard.Sources{}).Epoch(production, kinds, queues)
	e.Housekept("prune", nil)
	e.Housekept("prune", errors.New("no"))
	e.Housekept("prune", errors.New("no"))
	e.Housekept("rescue", nil)
	compare(t, reg, []string{
		`understudy_housekeeping_total{outcome="error",task="promote"} 0`,
		`understudy_housekeeping_total{outcome="error",task="prune"} 2`,
		`understudy_housekeeping_total{outcome="error",task="rescue"} 0`,
		`understudy_housekeeping_total{outcome="ok",task="promote"} 0`,
		`understudy_housekeeping_total{outcome="ok",task="prune"} 1`,
		`understudy_housekeeping_total{outcome="ok",task="rescue"} 1`,
	}, "understudy_housekeeping_total")
}

func TestALabelThatIsNotUTF8DoesNotPanic(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	e := dashboard.NewMetrics(reg, dashboard.Sources{}).Epoch(understudy.Place{Role: "ro\xffle"}, []string{"ma\xffil"}, []string{"de\xfffault"})
	job := &understudy.Job{Kind: "ma\xffil", Queue: "de\xfffault"}
	e.Started(job, time.Second)
	e.Finished(understudy.Outcome{Job: job, Verdict: understudy.Completed}, time.Second)
	e.Finished(understudy.Outcome{Job: job, Verdict: understudy.Verdict(99)}, time.Second)
	mustContain(t, "the counter", strings.Join(samples(t, reg, "understudy_jobs_finished_total"), "\n"),
		`{kind="ma�il",outcome="completed",role="ro�le"} 1`, `{kind="ma�il",outcome="unknown",role="ro�le"} 1`)
}

func TestManyGoroutinesLoseNoCount(t *testing.T) {
	t.Parallel()
	const goroutines, each, kinds = 16, 500, 20
	reg := prometheus.NewRegistry()
	var names []string
	for i := range kinds {
		names = append(names, fmt.Sprintf("k%02d", i))
	}
	e := dashboard.NewMetrics(reg, dashboard.Sources{}).Epoch(production, names, names)
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for i := range each {
				name := names[i%kinds]
				job := &understudy.Job{Kind: name, Queue: name}
				e.Started(job, time.Millisecond)
				e.Finished(understudy.Outcome{Job: job, Verdict: understudy.Completed}, time.Millisecond)
			}
		})
	}
	all.Wait()
	finished := strings.Join(samples(t, reg, "understudy_jobs_finished_total"), "\n")
	waited := strings.Join(samples(t, reg, "understudy_job_wait_seconds"), "\n")
	for i := range kinds {
		mustContain(t, "finished", finished, fmt.Sprintf(`{kind="k%02d",outcome="completed",role="active"} %d`, i, goroutines*each/kinds))
		mustContain(t, "waited", waited, fmt.Sprintf(`count{queue="k%02d",role="active"} %d`, i, goroutines*each/kinds))
	}
}

func TestWhatNobodyConfiguredIsOneSeriesHoweverMuchIsMadeUp(t *testing.T) {
	t.Parallel()
	const madeUp = 3000
	reg := prometheus.NewRegistry()
	e := dashboard.NewMetrics(reg, dashboard.Sources{}).Epoch(production, kinds, queues)
	report := func(name string, v understudy.Verdict) {
		job := &understudy.Job{Kind: name, Queue: name}
		e.Started(job, time.Second)
		e.Finished(understudy.Outcome{Job: job, Verdict: v}, time.Second)
	}
	for i := range madeUp {
		report(fmt.Sprintf("made-up-%d", i), understudy.Completed)
		report(fmt.Sprintf("made-up-%d", i), understudy.Verdict(99))
	}
	report("mail", understudy.Completed)
	report("default", understudy.Completed)
	compare(t, reg, []string{
		`understudy_job_duration_seconds_sum{kind="mail",role="active"} 1`,
		`understudy_job_duration_seconds_count{kind="mail",role="active"} 1`,
		`understudy_job_duration_seconds_sum{kind="other",role="active"} 6001`,
		`understudy_job_duration_seconds_count{kind="other",role="active"} 6001`,
		`understudy_job_wait_seconds_sum{queue="default",role="active"} 1`,
		`understudy_job_wait_seconds_count{queue="default",role="active"} 1`,
		`understudy_job_wait_seconds_sum{queue="other",role="active"} 6001`,
		`understudy_job_wait_seconds_count{queue="other",role="active"} 6001`,
	}, "understudy_job_duration_seconds", "understudy_job_wait_seconds")
	finished := strings.Join(samples(t, reg, "understudy_jobs_finished_total"), "\n")
	mustContain(t, "finished", finished, `{kind="other",outcome="completed",role="active"} 3001`, `{kind="other",outcome="unknown",role="active"} 3000`,
		`{kind="mail",outcome="completed",role="active"} 1`)
	mustLack(t, "finished", finished, "made-up")
}
