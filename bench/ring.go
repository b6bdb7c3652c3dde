package main

import (
	"bytes"
	"sync"
)

// ringBytes is how much of a log an error quotes.
const ringBytes = 4 << 10

// ring keeps the end of what is written to it.
type ring struct {
	mu   sync.Mutex
	kept []byte
}

// Write keeps p. It never fails.
func (r *ring) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, p...)
	if extra := len(r.kept) - ringBytes; extra > 0 {
		r.kept = append(r.kept[:0], r.kept[extra:]...)
	}
	return len(p), nil
}

// String returns the last lines.
func (r *ring) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(bytes.TrimSpace(r.kept))
}
