package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// startService runs a service on a free port until the test ends.
func startService(t *testing.T) *service {
	t.Helper()
	s, err := listen(0, "active-port")
	if err != nil {
		t.Fatal(err)
	}
	crew := newCrew(t.Context(), func(err error) { t.Error(err) })
	crew.run(s.run)
	t.Cleanup(crew.stop)
	return s
}

// backend is a worker that answers with its name.
func backend(t *testing.T, name string) func() string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
	t.Cleanup(server.Close)
	return func() string { return server.Listener.Addr().String() }
}

// get asks the service, on a connection that client keeps.
func get(t *testing.T, client *http.Client, s *service) string {
	t.Helper()
	response, err := client.Get(s.url())
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

func TestAServiceLeadsWhereItWasLedLast(t *testing.T) {
	t.Parallel()
	s := startService(t)
	client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	one, two := backend(t, "one"), backend(t, "two")
	for _, c := range []struct {
		to   func() string
		want string
	}{{one, "one"}, {two, "two"}, {one, "one"}} {
		s.lead(c.to) // which ends the connection that the client kept
		if got := get(t, client, s); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestAServiceWithoutAWorkerHangsUp(t *testing.T) {
	t.Parallel()
	s := startService(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]func() string{
		"before the first pod":         nil,
		"while the worker starts":      func() string { return "" },
		"after the worker's own death": gone.Addr().String,
	} {
		s.lead(to)
		client, err := net.Dial("tcp", s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		awaitHangUp(t, name, client)
	}
}

func TestATakenPortIsOneClearLine(t *testing.T) {
	t.Parallel()
	s := startService(t)
	port := s.listener.Addr().(*net.TCPAddr).Port
	_, err := listen(port, "preview-port")
	want := fmt.Sprintf("port %d is taken: choose another with --preview-port (0 for any that is free)", port)
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestAStoppedServiceEndsItsConnections(t *testing.T) {
	t.Parallel()
	s, err := listen(0, "active-port")
	if err != nil {
		t.Fatal(err)
	}
	crew := newCrew(context.Background(), func(err error) { t.Error(err) })
	crew.run(s.run)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	s.lead(silent.Addr().String)
	client, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := silent.Accept() // so the service has passed the connection on
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = accepted.Close() }()
	crew.stop()
	awaitHangUp(t, "after the end", client)
}

// awaitHangUp reads from a connection, which is to be ended without a byte.
func awaitHangUp(t *testing.T, when string, client net.Conn) {
	t.Helper()
	defer func() { _ = client.Close() }()
	if err := client.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := client.Read(make([]byte, 1))
	if n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: read %d bytes, error %v: want the end", when, n, err)
	}
}
