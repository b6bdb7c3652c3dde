package tester

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/understudy-worker/understudy/internal/web"
)

// liveEvery is how often a page that is open is made anew.
const liveEvery = time.Second

// Tester shows two sides and enqueues jobs into them.
type Tester struct {
	Options
	watches [2]*watch
	live    *web.Live
	handler http.Handler
}

// New makes a tester. It starts nothing: Run does.
func New(options Options) (*Tester, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	t := &Tester{Options: options}
	t.Timeouts = options.Timeouts.orUsual()
	for i := range t.Sides {
		t.watches[i] = newWatch(&t.Sides[i], t.Timeouts.Look)
	}
	t.live = web.NewLive(liveEvery, t.Log, t.frame)
	t.handler = web.New(web.Options{Routes: t.routes(), Token: t.Token, Hosts: t.Hosts, ReadOnly: t.ReadOnly, Log: t.Log})
	return t, nil
}

func (t *Tester) routes() []web.Route {
	routes := []web.Route{
		{Method: "GET", Path: "/{$}", Serve: t.index},
		{Method: "GET", Path: "/events", Serve: t.live.ServeHTTP},
		{Method: "GET", Path: "/api/status", Serve: t.status},
		{Method: "POST", Path: "/enqueue", Serve: t.enqueue, MaxBody: maxOrderBytes},
		{Method: "GET", Path: "/health/live", Serve: t.healthy, Open: true},
		{Method: "GET", Path: "/version", Serve: t.version, Open: true},
	}
	if t.Stage != nil {
		routes = append(routes, web.Route{Method: "POST", Path: "/stage", Serve: t.act})
	}
	return routes
}

// Handler answers requests. What it shows is of the time since Run was called.
func (t *Tester) Handler() http.Handler { return t.handler }

// Run looks at the sides for those who look at the page, until ctx ends. It is
// called once.
func (t *Tester) Run(ctx context.Context) {
	var tasks sync.WaitGroup
	for _, w := range t.watches {
		tasks.Go(func() { w.run(ctx) })
	}
	tasks.Go(func() { t.live.Run(ctx) })
	tasks.Wait()
}

// Serve is Run, and answers on the listener meanwhile, which it closes.
func (t *Tester) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	tasks.Go(func() { t.Run(ctx) })
	return web.Serve(ctx, listener, t.handler, t.Log)
}

func (t *Tester) healthy(w http.ResponseWriter, _ *http.Request) {
	web.Text(w, http.StatusOK, "the tester answers")
}

func (t *Tester) version(w http.ResponseWriter, _ *http.Request) {
	web.Text(w, http.StatusOK, t.Version)
}

// looks are what the sides are like, asked at the same time.
func (t *Tester) looks(ctx context.Context, timeout time.Duration) [2]look {
	var looks [2]look
	moment := time.Now()
	var asking sync.WaitGroup
	for i, w := range t.watches {
		asking.Go(func() { looks[i] = w.since(ctx, moment, timeout) })
	}
	asking.Wait()
	return looks
}
