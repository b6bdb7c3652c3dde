package dashboard

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Other is the value of a label that stands for all that the worker's
// configuration does not have: whoever enqueues makes up the names of queues and
// kinds, and a series for each would be of no use, and without end.
const Other = "other"

// series remembers what find returned for each of the values that a label has:
// looking it up in a metric vector costs several times as much. All other values
// share the series of Other. Reading takes no lock.
type series[S any] struct {
	find   func(value string) S
	values []string
	mu     sync.Mutex // held to replace known
	known  atomic.Pointer[map[string]S]
}

func (s *series[S]) of(value string) S {
	if found, ok := s.lookUp(value); ok {
		return found
	}
	return s.add(s.named(value))
}

// named is the value under which the series of a value goes.
func (s *series[S]) named(value string) string {
	if slices.Contains(s.values, value) {
		return value
	}
	return Other
}

func (s *series[S]) lookUp(value string) (found S, ok bool) {
	if known := s.known.Load(); known != nil {
		found, ok = (*known)[value]
	}
	return found, ok
}

func (s *series[S]) add(value string) S {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := s.lookUp(value); ok { // somebody was faster, or it is that of Other
		return found
	}
	grown := map[string]S{}
	if known := s.known.Load(); known != nil {
		grown = maps.Clone(*known)
	}
	grown[value] = s.find(value)
	s.known.Store(&grown)
	return grown[value]
}

// label is text as the value of a label, which has to be UTF-8: Prometheus'
// client panics otherwise.
func label(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
