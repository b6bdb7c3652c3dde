package handlers

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings reads one handler's part of the configuration. It keeps the first
// thing that is wrong, so that a constructor reads everything and asks once.
type settings struct {
	kind   string
	values map[string]any
	err    error
}

// wrong says what is wrong with a setting, unless something was before.
func (s *settings) wrong(key, format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("handlers.%s.%s: %s", s.kind, key, fmt.Sprintf(format, args...))
	}
}

// maker is the type that the settings name, if all of them are settings of it.
func (s *settings) maker() (maker, bool) {
	types := slices.Sorted(maps.Keys(makers))
	name := s.text("type")
	m, ok := makers[name]
	switch {
	case s.err != nil:
	case name == "":
		s.wrong("type", "missing: use one of %s", strings.Join(types, ", "))
	case !ok:
		s.wrong("type", "unknown type %q: did you mean %q? (known: %s)", name, nearest(name, types), strings.Join(types, ", "))
	default:
		s.refuseUnknown(name, m.known)
	}
	return m, s.err == nil
}

// refuseUnknown finds settings that the type does not take.
func (s *settings) refuseUnknown(typeName string, known []string) {
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		switch {
		case key == "type" || slices.Contains(known, key):
		case len(known) == 0:
			s.wrong(key, "unknown setting: type %q takes none, remove it", typeName)
		default:
			s.wrong(key, "unknown setting of type %q: did you mean %q? (known: %s)",
				typeName, nearest(key, known), strings.Join(known, ", "))
		}
	}
}

// text is a setting that is one text; empty if it is not given.
func (s *settings) text(key string) string {
	text, ok := scalar(s.values[key])
	if !ok {
		s.wrong(key, "is a %s: give one text", shape(s.values[key]))
	}
	return text
}

// duration is a setting that is a length of time, zero or more.
func (s *settings) duration(key string, otherwise time.Duration) time.Duration {
	text := strings.TrimSpace(s.text(key))
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && isNumber(text):
		s.wrong(key, "%s has no unit: write %ss or %sms", text, text, text)
	case err != nil:
		s.wrong(key, "%q is no duration: write it like 500ms, 10s or 2m", text)
	case d < 0:
		s.wrong(key, "%s is negative: give a duration of zero or more", text)
	}
	return d
}

// bytes is a setting that counts bytes, one or more.
func (s *settings) bytes(key string, otherwise int) int {
	text := strings.TrimSpace(s.text(key))
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > math.MaxInt32 {
		s.wrong(key, "%q is no number of bytes: give a whole number from 1 to %d, such as %d", text, math.MaxInt32, otherwise)
	}
	return int(n)
}

// list is a setting that is a list of texts. The example shows how to write it.
func (s *settings) list(key, example string) []string {
	values, ok := asList(s.values[key])
	if !ok {
		s.wrong(key, "is no list but a %s: write it as a list, such as %s", shape(s.values[key]), example)
		return nil
	}
	texts := make([]string, len(values))
	for i, value := range values {
		if texts[i], ok = scalar(value); !ok {
			s.wrong(key, "item %d is a %s: give texts only, such as %s", i+1, shape(value), example)
		}
	}
	return texts
}

// table is a setting that gives names a text each.
func (s *settings) table(key, example string) map[string]string {
	values, ok := asTable(s.values[key])
	if !ok {
		s.wrong(key, "is no map but a %s: write it as a map, such as %s", shape(s.values[key]), example)
		return nil
	}
	texts := make(map[string]string, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if texts[name], ok = scalar(values[name]); !ok {
			s.wrong(key+"."+name, "is a %s: give one text", shape(values[name]))
		}
	}
	return texts
}
