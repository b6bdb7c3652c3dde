package app

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/session"
	"github.com/understudy-worker/understudy/store"
	"github.com/understudy-worker/understudy/supervisor"
)

// lookers is how many connections pages, metrics and requests have together, in
// each epoch: they have none of the handlers', so that nobody who looks, however
// often, holds up a job.
const lookers = 2

// placedJobs are the jobs of an epoch for those who look at them, and which they
// are: what is asked of them later is asked of no other place.
type placedJobs struct {
	*store.Store
	place understudy.Place
}

// Place is where the jobs are.
func (j *placedJobs) Place() understudy.Place { return j.place }

// openJobs connects to nothing yet. The connections are closed once life ends.
func (s *server) openJobs(life context.Context, env supervisor.Env) (*placedJobs, error) {
	config := env.Pool.Config()
	config.MaxConns, config.MinConns, config.MinIdleConns, config.MaxConnIdleTime = lookers, 0, 0, time.Minute
	config.ConnConfig.RuntimeParams["application_name"] += " pages"
	if !env.Pooled {
		session.Set(config.ConnConfig, session.Ours)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("pool for pages: %w", err)
	}
	s.closeAfter(life, pool.Close)
	jobs, err := store.New(pool, env.Schema)
	return &placedJobs{jobs, env.Place()}, err
}
