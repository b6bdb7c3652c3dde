package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/understudy-worker/understudy/store"
)

// BenchmarkEnqueue enqueues one job at a time, each on the disk before the
// next, by number of connections that do.
func BenchmarkEnqueue(b *testing.B) {
	for _, conns := range []int{1, 8} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			f := durable(b)
			config := f.pool.Config()
			config.MaxConns = int32(conns)
			f = f.withPool(b, config)
			job := store.NewJob{Kind: "noop", Args: map[string]string{"to": "someone@example.org"}}
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var enqueuers sync.WaitGroup
			for range conns {
				enqueuers.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := f.Enqueue(b.Context(), job); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			enqueuers.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}
