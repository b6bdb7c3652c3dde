package web_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-worker/understudy/internal/web"
)

// pipes is a listener of connections that are made in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

// Close is called once, by the server.
func (p pipes) Close() error {
	close(p)
	return nil
}

func (pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// start runs a server until it is ended.
func start(t *testing.T, h http.Handler) (listener pipes, end func()) {
	t.Helper()
	listener, served := make(pipes), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { served <- web.Serve(ctx, listener, h, slog.New(slog.DiscardHandler)) }()
	return listener, func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
}

// serve runs a server until the test ends, and returns a client's connection.
func serve(t *testing.T, h http.Handler) net.Conn {
	t.Helper()
	listener, end := start(t, h)
	here, there := net.Pipe()
	listener <- there
	t.Cleanup(func() {
		_ = here.Close()
		end()
	})
	return here
}

// dialled is a client's connection, and what it was sent until its end.
type dialled struct {
	conn  net.Conn
	said  bytes.Buffer
	ended chan struct{}
}

func dial(listener pipes) *dialled {
	here, there := net.Pipe()
	listener <- there
	d := &dialled{conn: here, ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		_, _ = io.Copy(&d.said, here)
	}()
	return d
}

func (d *dialled) closed() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// closedAfter reads until the server hangs up.
func closedAfter(t *testing.T, conn net.Conn) time.Duration {
	t.Helper()
	start := time.Now()
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Error(err)
	}
	return time.Since(start)
}

func TestAClientThatSaysNothingIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := serve(t, http.NotFoundHandler())
		if took := closedAfter(t, conn); took != 5*time.Second {
			t.Errorf("it was dropped after %s", took)
		}
	})
}

func TestAClientThatNeverEndsItsHeadersIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := serve(t, http.NotFoundHandler())
		if _, err := io.WriteString(conn, "GET /version HTTP/1.1\r\nHost: worker\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		if took := closedAfter(t, conn); took != 5*time.Second {
			t.Errorf("it was dropped after %s", took)
		}
	})
}

func TestAnAnswerThatTakesTooLongIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(31 * time.Second)
			_, _ = io.WriteString(w, "too late")
		}))
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: worker\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(conn)
		if err != nil || len(said) != 0 {
			t.Errorf("got %q, %v", said, err)
		}
	})
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := serve(t, http.NotFoundHandler())
		if _, err := io.WriteString(conn, "GET /version HTTP/1.1\r\nHost: worker\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if took := closedAfter(t, conn); took != 2*time.Minute {
			t.Errorf("it was closed after %s", took)
		}
	})
}
