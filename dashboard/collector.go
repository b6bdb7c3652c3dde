package dashboard

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/understudy-worker/understudy"
)

// What the collector collects.
var (
	infoDesc      = desc("info", "1, with what the process is and serves.", "version", "role", "target", "schema")
	epochDesc     = desc("epoch_start_time_seconds", "When the epoch under way began, in Unix time.")
	ageDesc       = desc("snapshot_age_seconds", "How long ago the pod files were last read.")
	rearmsDesc    = desc("watch_rearms_total", "How often the watch of a directory was set up anew.")
	poolDesc      = desc("pool_connections", "Connections of the epoch under way.", "state")
	dueDesc       = desc("jobs_due", "Jobs that wait for a worker; of queues that it does not work, together and at least, as the queue other.", "queue", "target")
	oldestDesc    = desc("oldest_due_seconds", "How long the oldest waiting job has been due, by queue as in jobs_due.", "queue", "target")
	liveDesc      = desc("live_workers", "Workers whose lease runs.", "target", "role")
	notifyDesc    = desc("notification_queue_usage", "How full the server's queue of notifications is, from 0 to 1.", "target")
	collectorDesc = []*prometheus.Desc{infoDesc, epochDesc, ageDesc, rearmsDesc, poolDesc, dueDesc, oldestDesc, liveDesc, notifyDesc}
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// collector turns what the sources say at a scrape into metrics. What they say
// no longer, such as the role of before, is gone at once.
type collector struct {
	sources Sources
	due     cache[Due]
	live    cache[LiveWorkers]
	notify  cache[NotificationQueue]
}

func newCollector(sources Sources) *collector {
	log := sources.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &collector{
		sources: sources,
		due:     cache[Due]{what: "due jobs", ask: sources.Due, log: log},
		live:    cache[LiveWorkers]{what: "live workers", ask: sources.LiveWorkers, log: log},
		notify:  cache[NotificationQueue]{what: "queue of notifications", ask: sources.NotificationQueue, log: log},
	}
}

// Describe lists the metrics.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range collectorDesc {
		out <- d
	}
}

// Collect asks the databases at the same time, so that one second is enough.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	var asking sync.WaitGroup
	asking.Go(func() { c.collectDue(out) })
	asking.Go(func() { c.collectLive(out) })
	asking.Go(func() { c.collectNotifications(out) })
	c.collectStatus(out)
	c.collectSnapshot(out)
	c.collectPool(out)
	asking.Wait()
}

// collectStatus tells where the epoch under way is, draining or not, and
// without one which role the pod has.
func (c *collector) collectStatus(out chan<- prometheus.Metric) {
	if c.sources.Status == nil {
		return
	}
	now := c.sources.Status()
	where := now.Serving
	if where == (understudy.Place{}) {
		where.Role = now.Role
	}
	out <- gauge(infoDesc, 1, c.sources.Version, where.Role, where.Target, where.Schema)
	if !now.EpochSince.IsZero() {
		out <- gauge(epochDesc, float64(now.EpochSince.UnixMilli())/1000)
	}
}

func (c *collector) collectSnapshot(out chan<- prometheus.Metric) {
	if c.sources.Snapshot == nil {
		return
	}
	readAt, rearms := c.sources.Snapshot()
	if !readAt.IsZero() {
		out <- gauge(ageDesc, time.Since(readAt).Seconds())
	}
	out <- prometheus.MustNewConstMetric(rearmsDesc, prometheus.CounterValue, float64(rearms))
}

func (c *collector) collectPool(out chan<- prometheus.Metric) {
	if c.sources.Pool == nil {
		return
	}
	if pool := c.sources.Pool(); pool != nil {
		out <- gauge(poolDesc, float64(pool.Acquired), "acquired")
		out <- gauge(poolDesc, float64(pool.Idle), "idle")
		out <- gauge(poolDesc, float64(pool.Constructing), "constructing")
	}
}

// collectDue adds up what goes under one name: somebody may have named a queue
// Other, and two samples of one series are an error to whoever scrapes.
func (c *collector) collectDue(out chan<- prometheus.Metric) {
	all := map[[2]string]Due{}
	for _, d := range c.due.get() {
		sum := all[[2]string{label(d.Queue), label(d.Target)}]
		d.Jobs, d.OldestSeconds = d.Jobs+sum.Jobs, max(d.OldestSeconds, sum.OldestSeconds)
		all[[2]string{label(d.Queue), label(d.Target)}] = d
	}
	for _, d := range all {
		out <- gauge(dueDesc, float64(d.Jobs), d.Queue, d.Target)
		out <- gauge(oldestDesc, d.OldestSeconds, d.Queue, d.Target)
	}
}

func (c *collector) collectLive(out chan<- prometheus.Metric) {
	for _, l := range c.live.get() {
		out <- gauge(liveDesc, float64(l.Workers), l.Target, l.Role)
	}
}

func (c *collector) collectNotifications(out chan<- prometheus.Metric) {
	for _, n := range c.notify.get() {
		out <- gauge(notifyDesc, n.Usage, n.Target)
	}
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	for i := range labels {
		labels[i] = label(labels[i])
	}
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}
