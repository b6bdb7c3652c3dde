package reload

import (
	_ "embed" // defaults.yaml
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/knadh/koanf/v2"
)

//go:embed defaults.yaml
var defaultsYAML []byte

// defaults is the content of defaults.yaml. It is read only.
var defaults = sync.OnceValue(func() *koanf.Koanf {
	l := newLayer(dotted)
	if err := l.addYAML("defaults.yaml", defaultsYAML); err != nil {
		panic(err) // the file is part of the program
	}
	return l.ko
})

// defaultNames are the names that a section has by default.
func defaultNames(section string) []string { return defaults().MapKeys(section) }

// defaultText is a key's default as --help shows it.
func defaultText(path []string) string {
	switch value := defaults().Get(strings.Join(path, delim)).(type) {
	case nil:
		return ""
	case []string:
		return strings.Join(value, ",")
	default:
		return fmt.Sprint(value)
	}
}

// defaultLayer is the defaults together with those of the other targets that
// are configured: they verify migrations, drain like production, and have no
// schema until they are given one.
func defaultLayer(targets []string) *layer {
	l := newLayer(dotted)
	l.ko = defaults().Copy()
	for _, name := range targets {
		if slices.Contains(defaultNames("targets"), name) {
			continue
		}
		for _, part := range []string{"migrations", "drain_timeout", "pooler"} {
			path := []string{"targets", name, part}
			production := []string{"targets", "production", part}
			// Set fails only in koanf's strict mode, which this is not.
			_ = l.ko.Set(strings.Join(path, delim), defaults().Get(strings.Join(production, delim)))
		}
	}
	return l
}

// targetNames are the targets that layers name.
func targetNames(layers []*layer) []string {
	var names []string
	for _, l := range layers {
		names = append(names, l.ko.MapKeys("targets")...)
	}
	return names
}
