package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// workerCommand is the hidden argument that makes this program a worker process.
const workerCommand = "worker"

// What the parent tells a worker process.
const (
	doWork   = "work"   // the first line: what to work, and how
	doBegin  = "go"     // begin to work
	doStarts = "starts" // say when each job began
	doSwap   = "swap"   // take another role, and say how long that took
)

// What a worker process tells the parent. It stops when its input ends.
const (
	sayReady  = "ready"
	sayDone   = "done" // how many jobs the handlers have finished
	sayStarts = "starts"
	saySwap   = "swap"
)

// order is one line from the parent to a worker process.
type order struct {
	Do   string
	Work *assignment `json:",omitempty"`
	Role string      `json:",omitempty"`
}

// assignment is what a worker process works, and how.
type assignment struct {
	System      string
	DSN         string
	Dir         string // for its own files; the parent's to remove
	Concurrency int
	Sleep       time.Duration // that every handler takes
	Numbered    int           // jobs whose start is noted, by their number; 0 for none
}

// word is one line from a worker process to the parent.
type word struct {
	Say    string
	Done   int64   `json:",omitempty"`
	Starts []int64 `json:",omitempty"` // nanoseconds since 1970, by number of the job
	Swap   *swap   `json:",omitempty"`
}

// swap is one change of target. Its times are nanoseconds since 1970.
type swap struct {
	Renamed int64 // just before the pod's files were written
	Drained int64 // the old target was drained, as the worker's log says
	Started int64 // the first handler began on the new target
	Worked  int64 // jobs that were finished on the old target since the swap before
}

// sayer writes words, one a line, from any goroutine.
type sayer struct {
	mu  sync.Mutex
	out *json.Encoder
}

func newSayer(out io.Writer) *sayer { return &sayer{out: json.NewEncoder(out)} }

func (s *sayer) say(w word) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Encode(w)
}

// lines calls take with every line, decoded, until the input ends.
func lines[T any](in io.Reader, take func(T) error) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 64<<20) // the starts of many jobs are one line
	for scanner.Scan() {
		var line T
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			return fmt.Errorf("read line %.100q: %w", scanner.Bytes(), err)
		}
		if err := take(line); err != nil {
			return err
		}
	}
	return scanner.Err()
}
