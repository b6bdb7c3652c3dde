package dashboard

import (
	"net/http"
	"time"
)

// site answers the requests. It is immutable.
type site struct {
	Options
	born    time.Time
	metrics http.Handler
}

// route is one method of one path.
type route struct {
	method, path string
	serve        http.HandlerFunc
	open         bool // needs no token
}

// New makes the handler of a worker's HTTP. It starts nothing.
func New(options Options) (http.Handler, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	s := &site{Options: options, born: time.Now()}
	s.metrics = s.scrape()
	mux, open := http.NewServeMux(), map[string]bool{}
	for _, r := range s.routes() {
		mux.HandleFunc(r.method+" "+r.path, r.serve)
		open[r.path] = open[r.path] || r.open
	}
	return headers(sameSite(s.guard(open, mux))), nil
}

// routes lists everything that is answered. The mux adds HEAD to GET, answers
// 404 to other paths and 405 to other methods.
func (s *site) routes() []route {
	return []route{
		{"GET", "/{$}", s.index, true},
		{"GET", "/health/live", s.live, true},
		{"GET", "/health/ready", s.ready, true},
		{"GET", "/version", s.version, true},
		{"GET", "/metrics", s.metrics.ServeHTTP, true},
		{"GET", "/role", s.role, false},
		{"GET", "/count", s.count, false},
		{"GET", "/api/status", s.status, false},
		{"POST", "/dummy", s.dummy, false},
	}
}

// headers sets what holds for every answer: all of them are of the moment.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// sameSite refuses what a page of another site makes a browser send, unless it
// only reads.
func sameSite(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "refused: the request comes from a page of another site", http.StatusForbidden)
	}))
	return protection.Handler(next)
}
