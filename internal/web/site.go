package web

import (
	"log/slog"
	"net/http"
	"strings"
)

// Options say what a site answers, and to whom.
type Options struct {
	// Routes are what it answers besides its assets and its login.
	Routes []Route
	// Token is the token that all but the open routes ask for; white space
	// around it does not count. It is called once a request, so that a token can
	// be rotated. nil means that none is asked for.
	Token func() (string, error)
	// Hosts are names that lead here, besides those that no other site can have:
	// without a token, who asks for another name may change nothing.
	Hosts []string
	// ReadOnly refuses every request that would change something.
	ReadOnly bool
	Log      *slog.Logger
}

// Route is one method of one path, as http.ServeMux has it.
type Route struct {
	Method, Path string
	Serve        http.HandlerFunc
	// Open needs no token. Its path has no wildcards.
	Open bool
	// MaxBody is how many bytes the body of a request may have; 0 for those of a
	// small form.
	MaxBody int64
	// Long says that an answer may be long, so that few are made at a time.
	Long bool
}

// site answers the requests. It is immutable.
type site struct {
	Options
	open  map[string]bool // by method and path
	names names
	brake *brake
}

// New makes the handler of a site. The mux adds HEAD to GET, and answers 404 to
// other paths and 405 to other methods.
func New(o Options) http.Handler {
	s := &site{Options: o, open: map[string]bool{}, names: newNames(o.Hosts), brake: newBrake()}
	mux := http.NewServeMux()
	for _, r := range append(s.own(), s.changes()...) {
		mux.HandleFunc(r.Method+" "+r.Path, r.inTurn())
		if r.Open {
			s.open[r.Method+" "+r.Path] = true
		}
	}
	return headers(sameSite(s.guard(inWords(mux))))
}

// inWords has a browser told on a page what the mux says on a line: that there is
// no such path, or no such method of it.
func inWords(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" || !WantsPage(r) {
			mux.ServeHTTP(w, r)
			return
		}
		said := &codeOnly{header: w.Header(), code: http.StatusOK}
		mux.ServeHTTP(said, r)
		switch said.code {
		case http.StatusNotFound:
			Refuse(w, r, said.code, "There is nothing at "+Short(r.URL.Path)+".")
		case http.StatusMethodNotAllowed:
			Refuse(w, r, said.code, Short(r.URL.Path)+" is not there to "+r.Method+", but to "+said.header.Get("Allow")+".")
		default: // a redirect to the path without its dots and double slashes
			w.WriteHeader(said.code)
		}
	})
}

// codeOnly is an answer without its body.
type codeOnly struct {
	header http.Header
	code   int
}

func (c *codeOnly) Header() http.Header         { return c.header }
func (c *codeOnly) WriteHeader(code int)        { c.code = code }
func (c *codeOnly) Write(p []byte) (int, error) { return len(p), nil }

// isOpen says whether a request needs no token: the mux adds HEAD to GET.
func (s *site) isOpen(r *http.Request) bool {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return s.open[method+" "+r.URL.Path]
}

// own are the routes that every site has.
func (s *site) own() []Route {
	routes := []Route{
		{Method: "GET", Path: "/login", Serve: s.loginPage, Open: true},
		{Method: "POST", Path: "/login", Serve: s.login, Open: true},
		{Method: "POST", Path: "/logout", Serve: s.logout, Open: true},
	}
	for path, a := range assets {
		routes = append(routes, Route{Method: "GET", Path: path, Serve: a.ServeHTTP, Open: true})
	}
	return routes
}

// changes are the site's routes, of which those that change something refuse to
// where it may only be read.
func (s *site) changes() []Route {
	routes := make([]Route, 0, len(s.Routes))
	for _, r := range s.Routes {
		if s.ReadOnly && r.Method != http.MethodGet {
			r.Serve = func(w http.ResponseWriter, r *http.Request) {
				Refuse(w, r, http.StatusForbidden, "refused: http.read_only is set")
			}
		}
		routes = append(routes, r)
	}
	return routes
}

// policy lets a page load what this site serves, and nothing else: no script or
// style that stands in the page itself is run or used, whatever gets into it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// headers sets what holds for every answer: all of them are of the moment.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// sameSite refuses what a page of another site makes a browser send, unless it
// only reads.
func sameSite(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Refuse(w, r, http.StatusForbidden, "refused: the request comes from a page of another site")
	}))
	return protection.Handler(next)
}

// WantsPage says whether a request is a browser's for a page, not a program's.
func WantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}
