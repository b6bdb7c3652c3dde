package web_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-worker/understudy/internal/web"
)

// endless is a body without an end, which counts what is read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	e.read += len(p)
	return len(p), nil
}

// sending is a request with a body of that length, -1 for one that is not told.
func sending(path string, body io.Reader, length int64) *http.Request {
	r := httptest.NewRequest("POST", path, body)
	r.Host = "worker:8080"
	r.ContentLength = length
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func TestWhoHasNoTokenCannotMakeASiteReadMoreThanASmallForm(t *testing.T) {
	t.Parallel()
	s := newSite(web.Options{Token: token("secret")})
	for _, c := range []struct {
		path   string
		length int64
		code   int
		most   int // bytes that are read
	}{
		{"/login", 4 << 20, 413, 0},
		{"/login", 4097, 413, 0},
		{"/login", -1, 413, 8 << 10},
		{"/logout", -1, 413, 8 << 10},
		{"/change", -1, 401, 0},
		{"/change", 1 << 30, 401, 0},
		{"/nothing", -1, 401, 0},
		{"/open", -1, 401, 0},
	} {
		body := &endless{}
		got := ask(s, sending(c.path, body, c.length))
		if got.code != c.code || body.read > c.most {
			t.Errorf("%s of %d bytes: got %d %s, and %d bytes were read", c.path, c.length, got.code, got.body, body.read)
		}
		if got.code == 413 && (got.body != "the request has more than 4096 bytes\n" || got.header.Get("Connection") != "close") {
			t.Errorf("%s of %d bytes: %s %v", c.path, c.length, got.body, got.header)
		}
	}
	fits := "token=secret&next=/" + strings.Repeat("%41", 1000)
	if got := ask(s, sending("/login", strings.NewReader(fits), int64(len(fits)))); got.code != 303 {
		t.Errorf("the longest form of a login: %d %s", got.code, got.body)
	}
}

func TestARouteTakesTheBodyThatItIsMadeFor(t *testing.T) {
	t.Parallel()
	var got int
	h := web.New(web.Options{Routes: []web.Route{{Method: "POST", Path: "/put", MaxBody: 10_000, Serve: func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = len(body)
	}}}})
	for length, want := range map[int]int{0: 200, 10_000: 200, 10_001: 413} {
		got = -1
		answer := ask(h, sending("/put", strings.NewReader(strings.Repeat("a", length)), -1))
		if answer.code != want || answer.code == 200 && got != length {
			t.Errorf("%d bytes: %d, the route got %d", length, answer.code, got)
		}
	}
}

func TestFewBodiesOfARouteAreReadAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const atATime, late = 16, 30
		s := newSite(web.Options{Token: token("secret")})
		release := make(chan struct{})
		var slow, waiting sync.WaitGroup
		for range atATime {
			slow.Go(func() {
				r, w := io.Pipe()
				go func() {
					<-release
					_, _ = io.WriteString(w, "token=secret")
					_ = w.Close()
				}()
				if got := ask(s, sending("/login", r, -1)); got.code != 303 {
					t.Errorf("a slow one: %d %s", got.code, got.body)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		for range late {
			waiting.Go(func() {
				body := &endless{}
				got := ask(s, sending("/login", body, 12))
				if got.code != 503 || got.header.Get("Retry-After") == "" || body.read != 0 || time.Since(start) != 5*time.Second {
					t.Errorf("got %d after %s, %d bytes were read", got.code, time.Since(start), body.read)
				}
			})
		}
		waiting.Wait()
		if got := ask(s, post("/logout")); got.code != 303 {
			t.Errorf("another route meanwhile: %d", got.code)
		}
		close(release)
		slow.Wait()
		login(t, s, "secret")
	})
}

func TestFewLongAnswersAreMadeAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const atATime, late = 4, 30
		release := make(chan struct{})
		h := web.New(web.Options{Log: slog.New(slog.DiscardHandler), Routes: []web.Route{
			{Method: "GET", Path: "/long", Long: true, Serve: func(w http.ResponseWriter, _ *http.Request) {
				<-release
				web.Text(w, 200, "long")
			}},
		}})
		var all sync.WaitGroup
		var made, refused atomic.Int64
		for range atATime + late {
			all.Go(func() {
				switch got := ask(h, get("/long")); got.code {
				case 200:
					made.Add(1)
				case 503:
					refused.Add(1)
				default:
					t.Errorf("got %d %s", got.code, got.body)
				}
			})
		}
		time.Sleep(6 * time.Second)
		close(release)
		all.Wait()
		if made.Load() != atATime || refused.Load() != late {
			t.Errorf("%d were made and %d refused, want %d and %d", made.Load(), refused.Load(), atATime, late)
		}
	})
}

func TestABodyThatTakesTooLongIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := serve(t, newSite(web.Options{Token: token("secret")}))
		if _, err := io.WriteString(conn, "POST /login HTTP/1.1\r\nHost: worker\r\nContent-Length: 100\r\n\r\ntok"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		said, err := io.ReadAll(conn)
		if err != nil || time.Since(start) != 10*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		mustContain(t, string(said), "408 Request Timeout", "took too long")
	})
}

func TestManyConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener, end := start(t, newSite(web.Options{}))
		defer end()
		const limit = 1500
		var all []*dialled
		for range limit + 10 {
			all = append(all, dial(listener))
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		for i, d := range all {
			if closed := d.closed(); closed != (i < 10) {
				t.Fatalf("connection %d is closed: %t", i, closed)
			}
		}
		probe := dial(listener)
		if _, err := io.WriteString(probe.conn, "GET /open HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-probe.ended
		mustContain(t, probe.said.String(), "200 OK", "open")
	})
}
