package pgserver

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/understudy-worker/understudy/internal/process"
	"github.com/understudy-worker/understudy/internal/tail"
)

// superuser is the login that owns the cluster.
const superuser = "postgres"

// Server is a running temporary Postgres server. Its methods may be called
// from any goroutine.
type Server struct {
	bindir       string
	dir          string
	lock         *os.File // tells other processes that dir is in use
	account      *account
	password     string
	log          *tail.Tail
	startTimeout time.Duration
	port         int // chosen by Start, kept over restarts: a DSN stays good

	mu      sync.Mutex
	process *process.Process // nil while halted
	stopped bool
}

// Start makes a new cluster and starts a server on it. It returns when the
// server takes connections. The context bounds the start, not the server's
// life: that ends with Stop, or with this process.
func Start(ctx context.Context, options Options) (*Server, error) {
	s, err := prepare(options)
	if err != nil {
		return nil, err
	}
	if err := s.create(ctx, options); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if err := s.launch(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// DSN is the URL of a database on this server for its superuser, password
// included. The server starts with one database, "postgres".
func (s *Server) DSN(database string) string {
	address := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     "127.0.0.1:" + strconv.Itoa(s.port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return address.String()
}

// LogTail is the end of the server's log, a few kilobytes.
func (s *Server) LogTail() string { return s.log.String() }

// Bindir is the directory of the server's binaries, psql usually among them.
func (s *Server) Bindir() string { return s.bindir }

// Signal sends a signal to the server's first process, the postmaster.
func (s *Server) Signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return errors.New("signal the Postgres server: it is not running")
	}
	return s.process.Signal(sig)
}

// Halt ends the server and keeps its data and its port for Resume. Immediate
// is Postgres's immediate shutdown, as good as a crash: sessions end at once
// and the next start recovers. Otherwise it is the fast one, which rolls open
// transactions back.
func (s *Server) Halt(immediate bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.halt(immediate)
}

// Resume starts a server again that Halt ended, or that crashed.
func (s *Server) Resume(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errors.New("resume the Postgres server: it was stopped for good")
	}
	if s.process != nil && !s.process.Ended() {
		return nil
	}
	return s.begin(ctx)
}

// Restart is Halt and Resume. Data, port and DSN stay.
func (s *Server) Restart(ctx context.Context, immediate bool) error {
	if err := s.Halt(immediate); err != nil {
		return err
	}
	return s.Resume(ctx)
}

// Stop ends the server, by a fast shutdown, and removes its directory. Only
// the first call does something.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	return errors.Join(s.halt(false), s.remove(), s.lock.Close())
}

// remove deletes the server's directory. A server that had to be killed
// leaves children that write for a moment longer, so it tries again.
func (s *Server) remove() error {
	deadline := time.Now().Add(waitDelay)
	for {
		err := os.RemoveAll(s.dir)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pollInterval)
	}
}
