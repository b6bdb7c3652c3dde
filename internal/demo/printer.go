package demo

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/understudy-worker/understudy/internal/rollout"
)

// printer tells what happens, a line at a time, each with the seconds since
// the start. It is safe for concurrent use.
type printer struct {
	start time.Time

	mu   sync.Mutex
	out  io.Writer
	err  error    // of the first line that could not be written
	told []string // the last lines
}

// toldLines is how many of the last lines are kept.
const toldLines = 30

func newPrinter(out io.Writer) *printer { return &printer{start: time.Now(), out: out} }

// say prints a line, and keeps it.
func (p *printer) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, p.print(format, args))
	p.told = slices.Clone(p.told[max(0, len(p.told)-toldLines):])
}

// mutter prints a line that is of no interest later.
func (p *printer) mutter(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print(format, args)
}

// print prints a line and returns it. mu is held.
func (p *printer) print(format string, args []any) string {
	line := fmt.Sprintf("%6.2fs  %s", time.Since(p.start).Seconds(), fmt.Sprintf(format, args...))
	_, err := fmt.Fprintln(p.out, line)
	if p.err == nil {
		p.err = err
	}
	return line
}

// last are the last lines, the last one first.
func (p *printer) last() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	told := slices.Clone(p.told)
	slices.Reverse(told)
	return told
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
