package reload

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// LabelsParser is a koanf.Parser of the file that a Downward API volume makes
// of metadata.labels or metadata.annotations: lines key="value", the value
// quoted as by strconv.Quote. The kubelet sorts the lines and writes no
// newline at the end; a newline at the end and any order are accepted, for
// files written by hand.
type LabelsParser struct{}

// Unmarshal returns key to value, each value a string. A line that is not of
// the format is an error that names its number, not its content.
func (LabelsParser) Unmarshal(data []byte) (map[string]any, error) {
	labels, odd := parseLabels(string(data))
	if len(odd) > 0 {
		return nil, odd[0].err
	}
	return labels, nil
}

// oddLine is a line that is not of the format.
type oddLine struct {
	key   string // the label that it seems to be of, "" if it may be of any
	blank bool
	err   error // names the line's number, not its content
}

// seemingKey finds the label that an odd line seems to be of.
var seemingKey = regexp.MustCompile(`^[\s"']*([A-Za-z0-9][A-Za-z0-9._/-]*)`)

// parseLabels reads the lines that are of the format. A key that stands there
// twice has no value.
func parseLabels(text string) (labels map[string]any, odd []oddLine) {
	labels = map[string]any{}
	if text = strings.TrimSuffix(text, "\n"); text == "" {
		return labels, nil
	}
	seen := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		key, value, err := parseLabel(line)
		if err == nil && seen[key] {
			err = fmt.Errorf("key %q stands there twice", shown(key))
			delete(labels, key)
		}
		if err != nil {
			if found := seemingKey.FindStringSubmatch(line); found != nil {
				key = found[1]
			}
			odd = append(odd, oddLine{key: key, blank: strings.TrimSpace(line) == "", err: fmt.Errorf("line %d: %w", i+1, err)})
			continue
		}
		labels[key], seen[key] = value, true
	}
	return labels, odd
}

func parseLabel(line string) (key, value string, err error) {
	key, quoted, found := strings.Cut(line, "=")
	if !found || !labelKey.MatchString(key) {
		return "", "", fmt.Errorf(`not of the form key="value"`)
	}
	if !strings.HasPrefix(quoted, `"`) { // Unquote also takes '…' and `…`
		return "", "", fmt.Errorf("value of %q is not in double quotes", shown(key))
	}
	value, err = strconv.Unquote(quoted)
	if err != nil {
		return "", "", fmt.Errorf("value of %q is not quoted as Go quotes a string", shown(key))
	}
	return key, value, nil
}

// Marshal writes the format as the kubelet does. Every value must be a string.
func (LabelsParser) Marshal(labels map[string]any) ([]byte, error) {
	var b strings.Builder
	for i, key := range slices.Sorted(maps.Keys(labels)) {
		value, ok := labels[key].(string)
		if !ok || !labelKey.MatchString(key) {
			return nil, fmt.Errorf("label %q: not a key with a text", shown(key))
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(key + "=" + strconv.Quote(value))
	}
	return []byte(b.String()), nil
}
