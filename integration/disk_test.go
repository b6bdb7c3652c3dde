package integration_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/understudy-worker/understudy/integration/internal/container"
	"github.com/understudy-worker/understudy/internal/pause"
)

func TestNothingIsLostWhenTheDiskOfTheServerIsFull(t *testing.T) {
	t.Parallel()
	const size = 192 << 20
	server, disk := container.StartPostgresOnDisk(t, size, nil)
	th := newTheatre(t, server, server)
	th.start("a", "active")
	th.start("b", "active")
	stop := th.produce(50, 7, th.production())
	for range 2 {
		th.untilMore(th.production(), 100)
		th.do(th.breakServer(th.production(), container.Crash, func() error { // it may panic over its log
			return errors.Join(disk.Fill(t.Context()), th.untilFull(disk), disk.Free(t.Context()), server.Start(t.Context()))
		}))
	}
	th.untilMore(th.production(), 100)
	stop()
	th.untilDone(th.production())
	th.check()
}

// untilFull waits until the server has felt that its disk is full for longer
// than a lease.
func (th *theatre) untilFull(disk *container.Disk) error {
	th.t.Helper()
	server := th.production().server
	seen, err := server.Log(th.t.Context())
	if err != nil {
		return err
	}
	th.until("the server has felt that its disk is full", func(ctx context.Context) bool {
		log, err := server.Log(ctx)
		return err == nil && len(log) > len(seen) && strings.Contains(log[len(seen):], "No space left on device")
	})
	if err := pause.For(th.t.Context(), lease); err != nil {
		return err
	}
	return disk.Fill(th.t.Context()) // whatever became free meanwhile
}
