package dashboard

import (
	"net/http"
	"time"

	"github.com/understudy-worker/understudy/internal/web"
)

// site answers the requests. It is immutable.
type site struct {
	Options
	born    time.Time
	metrics http.Handler
}

// New makes the handler of a worker's HTTP. It starts nothing.
func New(options Options) (http.Handler, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	s := &site{Options: options, born: time.Now()}
	s.metrics = s.scrape()
	return web.New(web.Options{Routes: s.routes(), Token: s.Token, ReadOnly: s.ReadOnly, Log: s.Log}), nil
}

// routes lists everything that is answered.
func (s *site) routes() []web.Route {
	return []web.Route{
		{Method: "GET", Path: "/{$}", Serve: s.index},
		{Method: "GET", Path: "/health/live", Serve: s.live, Open: true},
		{Method: "GET", Path: "/health/ready", Serve: s.ready, Open: true},
		{Method: "GET", Path: "/version", Serve: s.version, Open: true},
		{Method: "GET", Path: "/metrics", Serve: s.metrics.ServeHTTP, Open: true},
		{Method: "GET", Path: "/role", Serve: s.role},
		{Method: "GET", Path: "/count", Serve: s.count},
		{Method: "GET", Path: "/api/status", Serve: s.status},
		{Method: "POST", Path: "/dummy", Serve: s.dummy},
	}
}
