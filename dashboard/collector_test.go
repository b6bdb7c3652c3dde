package dashboard_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
)

// collecting is a registry with metrics from these sources.
func collecting(sources dashboard.Sources) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	dashboard.NewMetrics(reg, sources)
	return reg
}

var asked = []string{
	"understudy_info", "understudy_epoch_start_time_seconds", "understudy_snapshot_age_seconds", "understudy_watch_rearms_total",
	"understudy_pool_connections", "understudy_jobs_due", "understudy_oldest_due_seconds", "understudy_live_workers", "understudy_notification_queue_usage",
}

func TestSourcesAreShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		read := time.Now()
		sources := allSources()
		sources.Snapshot = func() (time.Time, int64) { return read, 2 }
		reg := collecting(sources)
		time.Sleep(1500 * time.Millisecond)
		compare(t, reg, []string{
			`understudy_epoch_start_time_seconds 1.767323045e+09`,
			`understudy_info{role="active",schema="production",target="production",version="1.0"} 1`,
			`understudy_jobs_due{queue="default",target="production"} 9`,
			`understudy_live_workers{role="active",target="production"} 4`,
			`understudy_notification_queue_usage{target="production"} 0.25`,
			`understudy_oldest_due_seconds{queue="default",target="production"} 1.5`,
			`understudy_pool_connections{state="acquired"} 3`,
			`understudy_pool_connections{state="constructing"} 0`,
			`understudy_pool_connections{state="idle"} 1`,
			`understudy_snapshot_age_seconds 1.5`,
			`understudy_watch_rearms_total 2`,
		}, asked...)
	})
}

func TestSourcesThatAreMissingLeaveTheirSeriesOut(t *testing.T) {
	t.Parallel()
	compare(t, collecting(dashboard.Sources{}), nil, asked...)
}

func TestSourcesThatHaveNothingLeaveTheirSeriesOut(t *testing.T) {
	t.Parallel()
	compare(t, collecting(dashboard.Sources{
		Status:      func() understudy.Status { return understudy.Status{Phase: understudy.PhaseStarting} },
		Version:     "1.0",
		Snapshot:    func() (time.Time, int64) { return time.Time{}, 0 },
		Pool:        func() *dashboard.Pool { return nil },
		Due:         func(context.Context) ([]dashboard.Due, error) { return nil, nil },
		LiveWorkers: func(context.Context) ([]dashboard.LiveWorkers, error) { return nil, nil },
	}), []string{
		`understudy_info{role="",schema="",target="",version="1.0"} 1`,
		`understudy_watch_rearms_total 0`,
	}, asked...)
}

func TestAChangeOfRoleRemovesTheOldInfo(t *testing.T) {
	t.Parallel()
	now := serving
	reg := collecting(dashboard.Sources{Status: func() understudy.Status { return now }, Version: "1.0"})
	for _, step := range []struct {
		status understudy.Status
		want   string
	}{
		{serving, `{role="active",schema="production",target="production",version="1.0"}`},
		{understudy.Status{Phase: understudy.PhaseDraining, Role: "preview", Target: "preview", Serving: production},
			`{role="active",schema="production",target="production",version="1.0"}`},
		{understudy.Status{Phase: understudy.PhaseOpening, Role: "preview", Target: "preview"},
			`{role="preview",schema="",target="",version="1.0"}`},
		{understudy.Status{Phase: understudy.PhaseServing, Role: "preview", Target: "preview", Serving: preview},
			`{role="preview",schema="preview_abc",target="preview",version="1.0"}`},
		{understudy.Status{Phase: understudy.PhaseIdle},
			`{role="",schema="",target="",version="1.0"}`},
	} {
		now = step.status
		compare(t, reg, []string{"understudy_info" + step.want + " 1"}, "understudy_info")
	}
}

func TestADatabaseThatIsDownDoesNotHoldUpAScrape(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, out := logged()
		sources := allSources()
		sources.Log = log
		sources.Due = func(ctx context.Context) ([]dashboard.Due, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		sources.LiveWorkers = func(ctx context.Context) ([]dashboard.LiveWorkers, error) {
			<-ctx.Done()
			return []dashboard.LiveWorkers{{Target: "half an answer"}}, ctx.Err()
		}
		o := options()
		o.Gatherer = collecting(sources)
		h, start := handler(t, o), time.Now()
		var scrapes sync.WaitGroup
		for range 5 {
			scrapes.Go(func() {
				got := ask(h, "GET", "/metrics")
				if got.code != 200 {
					t.Errorf("got %d %q", got.code, got.body)
				}
				mustContain(t, "the scrape", got.body, "understudy_info{", "understudy_claims_total 0", "understudy_pool_connections{")
				mustLack(t, "the scrape", got.body, "jobs_due", "oldest_due", "live_workers", "deadline")
			})
		}
		scrapes.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("the scrapes took %s", took)
		}
		mustContain(t, "the log", out.String(), "level=DEBUG", `source="due jobs"`, `source="live workers"`, "deadline exceeded")
		mustLack(t, "the log", out.String(), "level=WARN", "level=ERROR")
	})
}

func TestAnswersOfADatabaseCountForFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls int64
		var failure error
		reg := collecting(dashboard.Sources{Due: func(context.Context) ([]dashboard.Due, error) {
			calls++
			return []dashboard.Due{{Queue: "default", Target: "production", Jobs: calls}}, failure
		}})
		one, two, four := []string{due(1)}, []string{due(2)}, []string{due(4)}
		compare(t, reg, one, "understudy_jobs_due")
		time.Sleep(4999 * time.Millisecond)
		compare(t, reg, one, "understudy_jobs_due")
		time.Sleep(time.Millisecond)
		compare(t, reg, two, "understudy_jobs_due")

		failure = errors.New("connection refused")
		time.Sleep(5 * time.Second)
		compare(t, reg, nil, "understudy_jobs_due")
		failure = nil // that there was no answer counts as long
		time.Sleep(4999 * time.Millisecond)
		compare(t, reg, nil, "understudy_jobs_due")
		time.Sleep(time.Millisecond)
		compare(t, reg, four, "understudy_jobs_due")
	})
}

func due(jobs int) string {
	return fmt.Sprintf(`understudy_jobs_due{queue="default",target="production"} %d`, jobs)
}

func TestAQueueThatIsNamedAsTheOthersTogetherIsAddedToThem(t *testing.T) {
	t.Parallel()
	compare(t, collecting(dashboard.Sources{Due: func(context.Context) ([]dashboard.Due, error) {
		return []dashboard.Due{
			{Queue: "other", Target: "production", Jobs: 2, OldestSeconds: 9}, {Queue: "default", Target: "production", Jobs: 1},
			{Queue: dashboard.Other, Target: "production", Jobs: 3, OldestSeconds: 5},
		}, nil
	}}), []string{
		`understudy_jobs_due{queue="default",target="production"} 1`, `understudy_jobs_due{queue="other",target="production"} 5`,
		`understudy_oldest_due_seconds{queue="default",target="production"} 0`, `understudy_oldest_due_seconds{queue="other",target="production"} 9`,
	}, "understudy_jobs_due", "understudy_oldest_due_seconds")
}

func TestScrapesAtTheSameTimeAskADatabaseOnce(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	release := make(chan struct{})
	reg := collecting(dashboard.Sources{LiveWorkers: func(context.Context) ([]dashboard.LiveWorkers, error) {
		calls.Add(1)
		<-release
		return []dashboard.LiveWorkers{{Target: "production", Role: "active", Workers: 1}}, nil
	}})
	var started, scrapes sync.WaitGroup
	started.Add(8)
	for range 8 {
		scrapes.Go(func() {
			started.Done()
			compare(t, reg, []string{`understudy_live_workers{role="active",target="production"} 1`}, "understudy_live_workers")
		})
	}
	started.Wait()
	close(release)
	scrapes.Wait()
	if calls.Load() != 1 {
		t.Errorf("it was asked %d times", calls.Load())
	}
}

// broken is a collector whose metrics cannot be gathered.
type broken struct{}

func (broken) Describe(chan<- *prometheus.Desc) {}
func (broken) Collect(out chan<- prometheus.Metric) {
	bad := prometheus.NewDesc("broken", "", nil, nil)
	out <- prometheus.NewInvalidMetric(bad, errors.New("dial db.internal: refused"))
}

func TestAScrapeNeverFailsNorSaysWhy(t *testing.T) {
	t.Parallel()
	log, out := logged()
	o := options()
	o.Log = log
	reg := prometheus.NewRegistry()
	reg.MustRegister(broken{})
	o.Gatherer = reg
	got := ask(handler(t, o), "GET", "/metrics")
	if got.code != 200 {
		t.Errorf("got %d %q", got.code, got.body)
	}
	mustLack(t, "the scrape", got.body, "db.internal")
	mustContain(t, "the log", out.String(), "level=WARN", "db.internal")
}

func TestMetricsAreServedAsText(t *testing.T) {
	t.Parallel()
	o := options()
	o.Gatherer = collecting(allSources())
	got := ask(handler(t, o), "GET", "/metrics")
	if got.code != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("got %d %v", got.code, got.header)
	}
	mustContain(t, "the scrape", got.body, "# HELP understudy_jobs_due ", "# TYPE understudy_jobs_due gauge")
}

func TestRolesOfAStatusThatAreNotUTF8AreShown(t *testing.T) {
	t.Parallel()
	reg := collecting(dashboard.Sources{Status: func() understudy.Status {
		return understudy.Status{Phase: understudy.PhaseIdle, Role: "ro\xffle"}
	}})
	compare(t, reg, []string{`understudy_info{role="ro�le",schema="",target="",version=""} 1`}, "understudy_info")
}
