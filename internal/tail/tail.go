// Package tail keeps the end of a program's output, for errors to quote.
package tail

import (
	"bytes"
	"io"
	"sync"
)

// kept is how many bytes are kept.
const kept = 4 << 10

// Tail keeps the end of what is written to it, and hands everything on. The
// zero value is an empty one. It is safe for concurrent use.
type Tail struct {
	Next io.Writer // may be nil

	mu  sync.Mutex
	end []byte
}

// Write keeps p. It never fails: a broken reader of the output must not end
// the program.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, p...)
	if extra := len(t.end) - kept; extra > 0 {
		t.end = append(t.end[:0], t.end[extra:]...)
	}
	if t.Next != nil {
		_, _ = t.Next.Write(p)
	}
	return len(p), nil
}

// String returns the last lines.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.end))
}
