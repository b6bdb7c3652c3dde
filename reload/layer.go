package reload

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/v2"
)

// layer is what one source gives: checked values under known keys, and where
// each came from. Layers are merged one over the other.
type layer struct {
	ko    *koanf.Koanf
	from  map[string]string // joined path → file, variable or flag
	whole []string          // sections given as a whole, which replace what is below
	spell func(path []string) string
}

func newLayer(spell func(path []string) string) *layer {
	return &layer{ko: koanf.New(delim), from: map[string]string{}, spell: spell}
}

// dotted spells a key as a YAML file or a flag does.
func dotted(path []string) string { return strings.Join(path, ".") }

// replaced are the sections that, given as a whole, replace the default ones
// instead of adding to them: their defaults could not be taken away otherwise.
var replaced = []string{"roles", "queues"}

// addTree adds a mapping, as a YAML file is one.
func (l *layer) addTree(source string, tree map[string]any) error {
	checked, err := l.check(root, nil, tree, source)
	if err != nil {
		return err
	}
	return l.put(nil, checked)
}

// addText adds one variable or flag. A key's value is the text itself, a
// section's is YAML.
func (l *layer) addText(source string, path []string, value string) error {
	at := root
	for i, part := range path {
		if at.free() {
			break
		}
		next := at.child(part)
		if next == nil {
			return l.unknown(source, path)
		}
		if err := l.checkName(at, path[:i+1], source); err != nil {
			return err
		}
		at = next
	}
	read, err := l.readText(at, source, path, value)
	if err != nil {
		return err
	}
	checked, err := l.check(at, path, read, source)
	if err != nil {
		return err
	}
	return l.put(path, checked)
}

// free says whether everything below n is for others to understand.
func (n *node) free() bool { return n.key != nil && n.key.path[0] == "handlers" }

// readText turns a text into what a YAML file would have in its place.
func (l *layer) readText(at *node, source string, path []string, value string) (any, error) {
	if at.key != nil && !at.free() {
		return value, nil
	}
	read, err := fromText(value)
	if _, isMap := read.(map[string]any); err == nil && !isMap && !at.free() {
		err = fmt.Errorf("not a mapping")
	}
	if err != nil {
		return nil, &ConfigError{Source: source, Key: shownKey(path),
			Problem: "cannot be parsed as YAML", Advice: "write it such as {name: value}"}
	}
	return read, nil
}

// fromText reads a list or a mapping as YAML; what else there is, is a truth
// value, a whole number or a text.
func fromText(value string) (any, error) {
	value = strings.TrimSpace(value)
	if strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[") {
		tree, wrong := parseYAML([]byte("value: " + value))
		if wrong != nil || len(tree) != 1 {
			return nil, fmt.Errorf("not YAML")
		}
		return tree["value"], nil
	}
	if b, fault := boolean(value); fault == nil {
		return b, nil
	}
	if n, err := strconv.Atoi(value); err == nil {
		return n, nil
	}
	return value, nil
}

// put merges a checked value into the layer.
func (l *layer) put(path []string, value any) error {
	if len(path) == 1 && slices.Contains(replaced, path[0]) {
		l.whole = append(l.whole, path[0])
	}
	if len(path) > 0 {
		return l.ko.Set(strings.Join(path, delim), value)
	}
	tree := value.(map[string]any)
	for _, section := range slices.Sorted(maps.Keys(tree)) {
		if err := l.put([]string{section}, tree[section]); err != nil {
			return err
		}
	}
	return nil
}

// check returns value with everything in it of the type that Config has. A key
// without a value is left out, as if it were not there; a name of the user's
// own without one is an error, since it was meant to be something.
func (l *layer) check(at *node, path []string, value any, source string) (any, error) {
	if at.key != nil {
		return l.checkValue(at.key, path, value, source)
	}
	tree, ok := value.(map[string]any)
	if !ok {
		return nil, l.fault(source, path, nil, &fault{"not a mapping", "write it such as {name: value}"})
	}
	out := make(map[string]any, len(tree))
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		here := append(slices.Clone(path), name)
		next := at.child(name)
		if next == nil {
			return nil, l.unknown(source, here)
		}
		if err := l.checkName(at, here, source); err != nil {
			return nil, err
		}
		if tree[name] == nil && at.checkAny != nil {
			return nil, l.fault(source, here, nil, &fault{"has no value", "give it one or remove it"})
		}
		if tree[name] == nil {
			continue
		}
		checked, err := l.check(next, here, tree[name], source)
		if err != nil {
			return nil, err
		}
		out[name] = checked
	}
	return out, nil
}

func (l *layer) checkValue(k *key, path []string, value any, source string) (any, error) {
	if _, isMap := value.(map[string]any); isMap && k.path[0] != "handlers" {
		return nil, l.fault(source, path, nil, &fault{"a mapping, not a " + k.kind, "write " + l.spell(path) + " with one value"})
	}
	parsed, fault := k.parse(value)
	if fault != nil && k.secret {
		value = nil
	}
	if fault != nil {
		return nil, l.fault(source, path, value, fault)
	}
	l.from[strings.Join(path, delim)] = source
	return parsed, nil
}

// checkName checks the last part of path if it is a name of the user's own.
func (l *layer) checkName(at *node, path []string, source string) error {
	name := path[len(path)-1]
	if at.checkAny == nil {
		return nil
	}
	if strings.Contains(name, delim) {
		return l.unknown(source, path)
	}
	if fault := at.checkAny(name); fault != nil {
		return l.fault(source, path, nil, fault)
	}
	return nil
}

// fault makes a ConfigError of what is wrong with a key's value; a nil value
// is not shown.
func (l *layer) fault(source string, path []string, value any, f *fault) error {
	e := &ConfigError{Source: source, Key: shownKey(path), Problem: f.problem, Advice: f.advice}
	if value != nil {
		e.Value, e.HasValue = shown(fmt.Sprint(value)), true
	}
	return e
}

func (l *layer) unknown(source string, path []string) error {
	return &ConfigError{Source: source, Key: shownKey(path), Problem: "unknown key",
		Advice: "the nearest known one is " + shownName(l.spell(nearestKey(path)))}
}
