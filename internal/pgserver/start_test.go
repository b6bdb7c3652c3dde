package pgserver

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCancelledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	needServer(t)
	parent := openDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, Options{Dir: parent, Settings: small}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Start: %v, want %v", err, context.DeadlineExceeded)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

func TestErrorOfAStartQuotesTheLog(t *testing.T) {
	t.Parallel()
	needServer(t)
	parent := openDir(t)
	_, err := Start(t.Context(), Options{Dir: parent, Settings: map[string]string{"max_connections": "many"}})
	if err == nil || !strings.Contains(err.Error(), `parameter "max_connections": "many"`) {
		t.Errorf("Start: %v, want the server's complaint about max_connections", err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

func TestClosedDirectoryIsNamed(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root runs the server as another user")
	}
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{Dir: closed}); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("Start in a closed directory: %v, want an error that says to set TMPDIR", err)
	}
}

func TestTakenPortIsToldApart(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	server := start(t, Options{})
	if err := server.Halt(false); err != nil {
		t.Fatal(err)
	}
	server.port = listener.Addr().(*net.TCPAddr).Port
	if err := server.Resume(t.Context()); !errors.Is(err, errPortTaken) {
		t.Errorf("Resume on a taken port: %v, want %v", err, errPortTaken)
	}
}

func TestOptionsNameWhatIsWrong(t *testing.T) {
	t.Parallel()
	needServer(t)
	empty := t.TempDir()
	for _, test := range []struct {
		options Options
		want    string
	}{
		{Options{Bindir: empty}, empty},
		{Options{Bindir: filepath.Join(empty, "missing")}, "initdb"},
		{Options{Dir: filepath.Join(empty, "missing")}, "missing"},
		{Options{Settings: map[string]string{"max connections": "1"}}, `"max connections"`},
		{Options{Settings: map[string]string{"port": "5432"}}, `"port"`},
		{Options{Settings: map[string]string{"work_mem": "1\nport = 1"}}, `"work_mem"`},
	} {
		server, err := Start(t.Context(), test.options)
		if err == nil {
			_ = server.Stop()
			t.Errorf("Start(%+v) gave no error", test.options)
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("Start(%+v): %v, want an error with %q", test.options, err, test.want)
		}
	}
}
