package handlers

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/understudy-worker/understudy"
)

// maker is one type of handler that the configuration can name.
type maker struct {
	// known lists the settings that the type takes besides "type".
	known []string
	// make reads the settings; what is wrong with them it leaves in s.err.
	make func(s *settings, place understudy.Place) understudy.Handler
}

// makers are the ready-made handlers, by the name that "type" gives them.
var makers = map[string]maker{
	"echo":  {make: newEcho},
	"sleep": {known: []string{"duration"}, make: newSleep},
	"fail":  {make: newFail},
	"http":  {known: []string{"url", "headers", "timeout", "max_response_bytes"}, make: newHTTP},
	"exec": {
		known: []string{"command", "dir", "env", "timeout", "max_output_bytes", "kill_grace", "discard_exit_codes"},
		make:  newExec,
	},
}

// New makes the handler that the configuration's handlers.KIND describes:
// its "type" and that type's settings, which may be the numbers, lists and maps
// of a file as well as the texts of environment and flags. An error names the
// setting, its value where that can be no secret, and what to do.
//
// A handler that keeps something open between jobs is an io.Closer.
func New(kind string, values map[string]any, place understudy.Place) (understudy.Handler, error) {
	s := &settings{kind: kind, values: values}
	m, ok := s.maker()
	if !ok {
		return nil, s.err
	}
	handler := m.make(s, place)
	if s.err != nil {
		return nil, s.err
	}
	return handler, nil
}

// Defaults are the handlers that need no configuration, under their own names
// as kinds: echo, sleep and fail.
func Defaults(place understudy.Place) understudy.Handlers {
	defaults := understudy.Handlers{}
	for _, name := range []string{"echo", "sleep", "fail"} {
		defaults[name] = makers[name].make(&settings{kind: name}, place)
	}
	return defaults
}

// All are the handlers of one epoch: Defaults, and over them those that the
// configuration's handlers name by kind. The function it returns lets go of
// what they keep open, idle connections above all; call it once their last job
// is done. It is never nil, and has nothing to do after an error.
func All(config map[string]map[string]any, place understudy.Place) (understudy.Handlers, func(), error) {
	all := Defaults(place)
	for _, kind := range slices.Sorted(maps.Keys(config)) {
		handler, err := newNamed(kind, config[kind], place)
		if err != nil {
			return nil, func() {}, err
		}
		all[kind] = handler
	}
	return all, func() { closeAll(all) }, nil
}

// newNamed is New for a kind that somebody wrote.
func newNamed(kind string, values map[string]any, place understudy.Place) (understudy.Handler, error) {
	switch {
	case strings.TrimSpace(kind) == "":
		return nil, fmt.Errorf("handlers: a kind without a name: give it the name that jobs are enqueued with")
	case len(kind) > understudy.MaxNameBytes:
		return nil, fmt.Errorf("handlers.%s: the kind's name has %d bytes: use at most %d",
			kind, len(kind), understudy.MaxNameBytes)
	}
	return New(kind, values, place)
}

// closeAll closes the handlers that keep something open.
func closeAll(all understudy.Handlers) {
	for _, handler := range all {
		if c, ok := handler.(io.Closer); ok {
			c.Close()
		}
	}
}
