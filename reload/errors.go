package reload

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ConfigError is configuration that cannot be used: one line that names where
// it stands, the key, the value unless that is or may be a secret, what is
// wrong and what to do. A program ends with exit code 2 on it.
type ConfigError struct {
	// Source is the file, the environment variable or the flag that gave the
	// key, "configuration" if none did.
	Source string
	// Key is the key, its parts joined by dots, "" if the source as a whole is meant.
	Key string
	// Value is the value as it may be shown; HasValue says whether there is one.
	Value    string
	HasValue bool
	// Problem is what is wrong, and Advice what to do about it.
	Problem, Advice string
}

func (e *ConfigError) Error() string {
	var b strings.Builder
	b.WriteString(e.Source)
	if e.Key != "" {
		b.WriteString(": " + e.Key)
	}
	if e.HasValue {
		b.WriteString(" = " + strconv.Quote(e.Value))
	}
	b.WriteString(": " + e.Problem)
	if e.Advice != "" {
		b.WriteString(": " + e.Advice)
	}
	return b.String()
}

// maxShown is how much of a value or a key an error shows, in bytes.
const maxShown = 80

// secretLike finds what may be a connection string.
var secretLike = regexp.MustCompile(`(?i)://|password|:[^/\s]*@`)

// shown is text as an error may show it: cut to a length that fits a line,
// and hidden if it looks like a connection string in the wrong place.
func shown(text string) string {
	if secretLike.MatchString(text) {
		return redacted
	}
	if len(text) <= maxShown {
		return text
	}
	cut := maxShown
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// shownKey is a key as an error may show it.
func shownKey(path []string) string { return shownName(strings.Join(path, ".")) }

// shownName is a name as an error may show it: in quotes if it would not
// otherwise read as one word.
func shownName(name string) string {
	name = shown(name)
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == ':' || r == '"' || r >= 0x7f }) {
		return strconv.Quote(name)
	}
	return name
}

// distance counts the insertions, removals, replacements and swaps of
// neighbours between a and b (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
