// Worker is the program whose processes the integration tests kill, freeze and
// cut off: the worker as it is shipped, and handlers that note in a file what
// they do.
package main

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/app"
	"github.com/understudy-worker/understudy/integration/internal/history"
	"github.com/understudy-worker/understudy/supervisor"
)

//go:embed migrations
var migrations embed.FS

func main() {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	app.Main(app.Options{Handlers: newLedger(os.Getenv).handlers, Migrations: files})
}

// ledger is the file in which this process notes what its handlers do. It is
// opened by the first epoch: commands that work no jobs need none.
type ledger struct {
	getenv func(string) string
	file   *history.Ledger
}

func newLedger(getenv func(string) string) *ledger { return &ledger{getenv: getenv} }

// handlers makes the handlers of one epoch. Epochs follow one another, so that
// nothing here is shared.
func (l *ledger) handlers(_ context.Context, env supervisor.Env) (understudy.Handlers, error) {
	process, err := strconv.Atoi(l.getenv(history.ProcessVariable))
	if err != nil {
		return nil, fmt.Errorf("$%s: give the number of this process among those of its pod: %w", history.ProcessVariable, err)
	}
	pod := l.getenv("POD_NAME")
	if l.file == nil {
		if l.file, err = history.Open(l.getenv(history.FileVariable), pod, process); err != nil {
			return nil, err
		}
	}
	noted := noting{ledger: l.file, target: env.Target, place: history.PlaceName(env.Target, env.Schema)}
	effects := effects{pool: env.Pool, pod: pod, process: process}
	return understudy.Handlers{
		"note":     noted.handler(func(context.Context, *understudy.Job, args) error { return nil }),
		"slow":     noted.handler(slow),
		"stubborn": noted.handler(stubborn),
		"flaky":    noted.handler(flaky),
		"hopeless": noted.handler(hopeless),
		"sleepy":   noted.handler(sleepy),
		"effect":   noted.handler(effects.make),
		"hold":     noted.handler(effects.hold),
		"echo":     noted.handler(func(_ context.Context, job *understudy.Job, _ args) error { return job.SetResult(job.Args) }),
		"hostile":  noted.hostile(),
	}, nil
}
