package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/understudy-worker/understudy/internal/pgserver"
)

// DSNVariable names the environment variable with the DSN of a server to use
// instead of a temporary one.
const DSNVariable = "UNDERSTUDY_TEST_DSN"

// Main runs the tests of a package, stops the shared server, and fails if a
// goroutine was left behind. It does not return.
func Main(m *testing.M, options ...goleak.Option) {
	goleak.VerifyTestMain(tests{m}, options...)
}

// tests are the tests of a package together with the server they share.
type tests struct{ *testing.M }

// Run runs the tests and stops the server, before goroutines are counted.
func (t tests) Run() int {
	code := t.M.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		return max(code, 1)
	}
	return code
}

// shared is the server of this test process: go test runs each package as a
// process, and TestMain has no other way to hand something to tests.
var shared sharedServer

type sharedServer struct {
	once   sync.Once
	server *pgserver.Server
	dsn    string
	err    error
}

// start starts the server, once, and returns the DSN of its first database.
func (s *sharedServer) start() (string, error) {
	s.once.Do(func() {
		if s.dsn = os.Getenv(DSNVariable); s.dsn != "" {
			return
		}
		s.server, s.err = pgserver.Start(context.Background(), pgserver.Options{Settings: disposable})
		if s.err == nil {
			s.dsn = s.server.DSN("postgres")
		}
	})
	return s.dsn, s.err
}

// stop stops the server if it was started.
func (s *sharedServer) stop() error {
	if s.server == nil {
		return nil
	}
	return s.server.Stop()
}

// disposable are the settings of a server whose data nobody needs after a
// crash of the machine. Commits still survive a crash of the server alone.
var disposable = map[string]string{
	"fsync":            "off",
	"full_page_writes": "off",
	"max_connections":  "300",
	"shared_buffers":   "128MB",
	// Many schemas are created and dropped, each drop in one transaction.
	"max_locks_per_transaction": "256",
}
