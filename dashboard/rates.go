package dashboard

import (
	"time"

	"github.com/understudy-worker/understudy"
)

// The plots cover five minutes, in intervals of five seconds.
const (
	plotInterval = 5 * time.Second
	plotPoints   = 60
)

// rates counts the attempts that ended, by interval. The zero value has counted
// none.
type rates struct {
	counts [plotPoints + 1]intervalCount // by the interval's number, modulo
}

type intervalCount struct {
	interval          int64 // since 1970
	completed, failed int64
}

func intervalOf(t time.Time) int64 { return t.UnixNano() / int64(plotInterval) }

func (r *rates) add(now time.Time, v understudy.Verdict) {
	interval := intervalOf(now)
	c := &r.counts[interval%int64(len(r.counts))]
	if c.interval != interval {
		*c = intervalCount{interval: interval}
	}
	if v == understudy.Completed {
		c.completed++
	} else if failed(v) {
		c.failed++
	}
}

// read is how many a second there were in each interval that is over, the
// newest last, and how many since the last one began: it, and what has begun.
func (r *rates) read(now time.Time) (completed, failed []float64, lately float64) {
	interval := intervalOf(now)
	for at := interval - plotPoints; at < interval; at++ {
		c := r.at(at)
		completed = append(completed, float64(c.completed)/plotInterval.Seconds())
		failed = append(failed, float64(c.failed)/plotInterval.Seconds())
	}
	begun := time.Duration(now.UnixNano()) - time.Duration(interval)*plotInterval
	last, this := r.at(interval-1), r.at(interval)
	lately = float64(last.completed+last.failed+this.completed+this.failed) / (plotInterval + begun).Seconds()
	return completed, failed, lately
}

func (r *rates) at(interval int64) intervalCount {
	if c := r.counts[interval%int64(len(r.counts))]; c.interval == interval {
		return c
	}
	return intervalCount{}
}
