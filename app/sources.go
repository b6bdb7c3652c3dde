package app

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
	"github.com/understudy-worker/understudy/internal/tester"
)

// sources are the figures that metrics ask for when they are scraped.
func (p *process) sources() dashboard.Sources {
	return dashboard.Sources{
		Version:           p.config.Version,
		Status:            func() understudy.Status { return p.supervisor.Status() },
		Snapshot:          p.snapshotHealth,
		Pool:              p.server.connections,
		Due:               p.server.due,
		LiveWorkers:       p.server.liveWorkers,
		NotificationQueue: p.server.notificationQueue,
		Log:               p.log,
	}
}

func (p *process) snapshotHealth() (readAt time.Time, rearms int64) {
	health := p.watcher.Health()
	return health.ReadAt, health.Rearms
}

// work is what the worker of the epoch under way does.
func (s *server) work() *understudy.WorkerStatus {
	now := s.now.Load()
	if now == nil {
		return nil
	}
	status := now.worker.Status()
	return &status
}

// where is the server of the epoch under way.
func (s *server) where() *dashboard.Where {
	now := s.now.Load()
	if now == nil {
		return nil
	}
	place, _ := tester.At(now.env.Pool, "") // of no schema: nothing to be wrong with
	return &dashboard.Where{Server: place.Server, Database: place.Database}
}

// jobs are those of the epoch under way.
func (s *server) jobs() dashboard.Jobs {
	now := s.now.Load()
	if now == nil {
		return nil
	}
	return now.jobs
}

// connections counts those that handlers use.
func (s *server) connections() *dashboard.Pool {
	now := s.now.Load()
	if now == nil {
		return nil
	}
	stat := now.env.Pool.Stat()
	return &dashboard.Pool{
		Acquired: int(stat.AcquiredConns()), Idle: int(stat.IdleConns()), Constructing: int(stat.ConstructingConns()),
	}
}

// due is what waits in the queues of the configuration, and in all others as
// one: which there are of those is up to whoever enqueues.
func (s *server) due(ctx context.Context) ([]dashboard.Due, error) {
	now := s.now.Load()
	if now == nil {
		return nil, nil
	}
	queues := slices.Sorted(maps.Keys(s.config.Queues))
	rows, err := now.jobs.Due(ctx, queues)
	if err != nil {
		return nil, err
	}
	all := make([]dashboard.Due, 0, len(rows)+1)
	for _, row := range rows {
		all = append(all, dashboard.Due{Queue: row.Queue, Target: now.env.Target, Jobs: row.Jobs, OldestSeconds: row.OldestSeconds})
	}
	other, err := now.jobs.OtherDue(ctx, queues)
	if err != nil { // the queues of the configuration are told all the same
		s.log.Debug("what waits in other queues is not known", "err", err)
		return all, nil
	}
	if other.Jobs > 0 {
		all = append(all, dashboard.Due{Queue: dashboard.Other, Target: now.env.Target, Jobs: other.Jobs, OldestSeconds: other.OldestSeconds})
	}
	return all, nil
}

func (s *server) liveWorkers(ctx context.Context) ([]dashboard.LiveWorkers, error) {
	now := s.now.Load()
	if now == nil {
		return nil, nil
	}
	rows, err := now.jobs.LiveWorkers(ctx)
	all := make([]dashboard.LiveWorkers, 0, len(rows))
	for _, row := range rows {
		all = append(all, dashboard.LiveWorkers{Target: now.env.Target, Role: row.Role, Workers: row.Workers})
	}
	return all, err
}

func (s *server) notificationQueue(ctx context.Context) ([]dashboard.NotificationQueue, error) {
	now := s.now.Load()
	if now == nil {
		return nil, nil
	}
	usage, err := now.jobs.NotificationQueueUsage(ctx)
	if err != nil {
		return nil, err
	}
	return []dashboard.NotificationQueue{{Target: now.env.Target, Usage: usage}}, nil
}
