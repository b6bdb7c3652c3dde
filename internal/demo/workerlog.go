package demo

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"sync"
)

// tailLines is how many of the last lines of a log are shown after a failure.
const tailLines = 30

// workerLog writes a worker's log to a file, keeps its last lines, and finds
// in it the address that the worker listens on.
type workerLog struct {
	path string

	mu   sync.Mutex
	file *os.File
	rest []byte // of a line that has not ended yet
	tail []string
	addr string
}

func newWorkerLog(path string) (*workerLog, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &workerLog{path: path, file: file}, nil
}

// Write takes what the worker says.
func (l *workerLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return l.file.Write(p)
		}
		l.take(line)
		l.rest = append([]byte(nil), rest...)
	}
}

// take looks at one line.
func (l *workerLog) take(line []byte) {
	l.tail = append(l.tail, string(line))
	if len(l.tail) > tailLines {
		l.tail = l.tail[1:]
	}
	var entry struct{ Msg, Addr string }
	if json.Unmarshal(line, &entry) == nil && entry.Msg == "listening" {
		l.addr = entry.Addr
	}
}

// address is where the worker listens, "" before it has said so.
func (l *workerLog) address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addr
}

// forget forgets the address: another process begins.
func (l *workerLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addr = ""
}

// last is the end of the log.
func (l *workerLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.tail, "\n")
}

func (l *workerLog) close() error { return l.file.Close() }
