package dashboard_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
)

// BenchmarkJob is what metrics cost one job: Started and Finished.
func BenchmarkJob(b *testing.B) {
	e := dashboard.NewMetrics(prometheus.NewRegistry(), dashboard.Sources{}).Epoch(production, kinds, queues)
	job := &understudy.Job{Kind: "mail", Queue: "default"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e.Started(job, 20*time.Millisecond)
			e.Finished(understudy.Outcome{Job: job, Verdict: understudy.Completed}, 3*time.Millisecond)
		}
	})
}

// BenchmarkStarted and BenchmarkFinished are its halves.
func BenchmarkStarted(b *testing.B) {
	e := dashboard.NewMetrics(prometheus.NewRegistry(), dashboard.Sources{}).Epoch(production, kinds, queues)
	job := &understudy.Job{Kind: "mail", Queue: "default"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e.Started(job, 20*time.Millisecond)
		}
	})
}

func BenchmarkFinished(b *testing.B) {
	e := dashboard.NewMetrics(prometheus.NewRegistry(), dashboard.Sources{}).Epoch(production, kinds, queues)
	job := &understudy.Job{Kind: "mail", Queue: "default"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e.Finished(understudy.Outcome{Job: job, Verdict: understudy.Completed}, 3*time.Millisecond)
		}
	})
}
