package container

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
)

func TestAPortIsNotOneThatTheSystemHandsOut(t *testing.T) {
	t.Parallel()
	low, high := ephemeralPorts()
	for range 100 {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		if port < lowestPort || port > highestPort || port >= low && port <= high {
			t.Fatalf("port %d is outside %d to %d, or in the system's %d to %d", port, lowestPort, highestPort, low, high)
		}
	}
}

func TestAContainerWhosePortOrNameIsTakenGetsAnother(t *testing.T) {
	t.Parallel()
	first := Shared(t)
	e := first.engine
	image, err := e.postgresImage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, taken := range map[string]testcontainers.CustomizeRequestOption{
		"name": testcontainers.WithName(fmt.Sprintf("understudy-test-%d", first.port)),
		"port": testcontainers.WithHostConfigModifier(func(host *container.HostConfig) {
			host.PortBindings = e.publish(postgresPort, first.port)
		}),
	} {
		attempts := 0
		run := func(ctx context.Context, options ...testcontainers.ContainerCustomizer) (testcontainers.Container, error) {
			if attempts++; attempts == 1 {
				options = append(options, taken)
			}
			return testcontainers.Run(ctx, image, append(options, testcontainers.WithCmd("true"))...)
		}
		s, err := e.launch(t.Context(), postgresPort, run, func(*container.HostConfig) {})
		if err != nil {
			t.Fatalf("with a taken %s: %v", what, err)
		}
		t.Cleanup(func() { s.end(t, "image") })
		if attempts != 2 {
			t.Errorf("%d attempts with a taken %s, want 2", attempts, what)
		}
	}
}

// loser is a test that has failed and keeps what it logs.
type loser struct {
	testing.TB
	logged string
}

func (l *loser) Failed() bool                    { return true }
func (l *loser) Logf(format string, args ...any) { l.logged += fmt.Sprintf(format, args...) }

func TestAFailedTestShowsTheLogOfItsServer(t *testing.T) {
	t.Parallel()
	needEngine(t)
	p, err := startPostgres(t.Context(), superuser, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &loser{TB: t}
	p.end(l, "Postgres")
	if !strings.Contains(l.logged, ready) || strings.Contains(l.logged, p.password) {
		t.Errorf("logged %q, want the end of the server's log, without its password", l.logged)
	}
}
