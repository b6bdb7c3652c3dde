package demo

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/understudy-worker/understudy/internal/rollout"
)

// printer tells what happens, a line at a time, each with the seconds since
// the start. It is safe for concurrent use.
type printer struct {
	start time.Time

	mu  sync.Mutex
	out io.Writer
	err error // of the first line that could not be written
}

func newPrinter(out io.Writer) *printer { return &printer{start: time.Now(), out: out} }

// say prints a line.
func (p *printer) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := fmt.Fprintf(p.out, "%6.2fs  %s\n", time.Since(p.start).Seconds(), fmt.Sprintf(format, args...))
	if p.err == nil {
		p.err = err
	}
}

// failure is why nobody can read on, nil while somebody can.
func (p *printer) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// shownRole is a role as it is printed.
func shownRole(role string) string {
	if role == rollout.RoleNone {
		return "without a role"
	}
	return role
}
