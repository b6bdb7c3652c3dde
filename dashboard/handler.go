package dashboard

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/understudy-worker/understudy/internal/web"
)

// Site is a worker's HTTP. Make it with New.
type Site struct {
	site
	handler http.Handler
}

// site answers the requests.
type site struct {
	Options
	born     time.Time
	metrics  http.Handler
	live     *web.Live
	database *database
}

// New makes a worker's HTTP. It starts nothing: Run does.
func New(options Options) (*Site, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	s := &Site{site: site{Options: options, born: time.Now(), database: newDatabase()}}
	s.metrics = s.scrape()
	s.live = web.NewLive(frameEvery, s.Log, s.frame)
	s.handler = web.New(web.Options{Routes: s.routes(), Token: s.Token, Hosts: s.Hosts, ReadOnly: s.ReadOnly, Log: s.Log})
	return s, nil
}

// ServeHTTP answers a request.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Run keeps the pages up to date that are open, and remembers how much waited,
// until ctx ends. It is called once.
func (s *Site) Run(ctx context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { s.live.Run(ctx) })
	tasks.Go(func() { s.sampleDepth(ctx) })
	tasks.Go(func() { s.watchWorkers(ctx) })
	s.watchStatus(ctx)
}

// routes lists everything that is answered.
func (s *site) routes() []web.Route {
	return []web.Route{
		{Method: "GET", Path: "/{$}", Serve: s.index},
		{Method: "GET", Path: "/events", Serve: s.live.ServeHTTP},
		{Method: "GET", Path: "/health/live", Serve: s.alive, Open: true},
		{Method: "GET", Path: "/health/ready", Serve: s.ready, Open: true},
		{Method: "GET", Path: "/version", Serve: s.version, Open: true},
		{Method: "GET", Path: "/metrics", Serve: s.metrics.ServeHTTP, Open: true},
		{Method: "GET", Path: "/role", Serve: s.role},
		{Method: "GET", Path: "/count", Serve: s.count},
		{Method: "GET", Path: "/api/status", Serve: s.status},
		{Method: "GET", Path: "/jobs", Serve: s.browse},
		{Method: "GET", Path: "/jobs/{id}", Serve: s.show, Long: true},
		{Method: "GET", Path: "/api/jobs/{id}", Serve: s.showJSON, Long: true},
		{Method: "POST", Path: "/jobs/{id}/retry", Serve: s.retry},
		{Method: "POST", Path: "/jobs/{id}/retry_completed", Serve: s.retryCompleted},
		{Method: "POST", Path: "/jobs/{id}/cancel", Serve: s.cancel},
		{Method: "POST", Path: "/dummy", Serve: s.dummy},
	}
}
