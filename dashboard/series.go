package dashboard

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// series remembers what find returned for each value of a label: looking it up
// in a metric vector costs several times as much. It forgets nothing, and is
// for labels with few values. Reading takes no lock.
type series[S any] struct {
	find  func(value string) S
	mu    sync.Mutex // held to replace known
	known atomic.Pointer[map[string]S]
}

func (s *series[S]) of(value string) S {
	if known := s.known.Load(); known != nil {
		if found, ok := (*known)[value]; ok {
			return found
		}
	}
	return s.add(value)
}

func (s *series[S]) add(value string) S {
	s.mu.Lock()
	defer s.mu.Unlock()
	grown := map[string]S{}
	if known := s.known.Load(); known != nil {
		if found, ok := (*known)[value]; ok { // somebody was faster
			return found
		}
		grown = maps.Clone(*known)
	}
	grown[value] = s.find(value)
	s.known.Store(&grown)
	return grown[value]
}

// label is text as the value of a label, which has to be UTF-8: Prometheus'
// client panics otherwise.
func label(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
