package main

import (
	"context"
	"time"
)

// lookEvery is how often the workers' connections are counted where a measure
// does not say.
const lookEvery = 100 * time.Millisecond

// sightings are what was seen of the workers' connections.
type sightings struct {
	connections int // the most at a time
	looks       int
	locked      int // looks at which one of them waited for a lock
}

// watch looks every so often until ctx ends.
func (s *sightings) watch(ctx context.Context, d *database, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := s.look(ctx, d); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *sightings) look(ctx context.Context, d *database) error {
	var all, waiting int
	err := d.pool.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE state = 'active' AND wait_event_type IN ('Lock', 'LWLock'))
FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend' AND application_name <> $2`, d.name, ownApplication).
		Scan(&all, &waiting)
	if err != nil {
		return err
	}
	s.connections = max(s.connections, all)
	s.looks++
	if waiting > 0 {
		s.locked++
	}
	return nil
}

// lockedShare is the share of looks at which some connection waited for a lock.
func (s *sightings) lockedShare() float64 {
	if s.looks == 0 {
		return 0
	}
	return float64(s.locked) / float64(s.looks)
}
