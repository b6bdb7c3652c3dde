package reload

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const redacted = "[redacted]"

// Secret is a DSN. However it is printed, logged or marshalled, it shows
// nothing of its text; Reveal does.
type Secret string

// Reveal is the text itself, for the one who connects.
func (s Secret) Reveal() string { return string(s) }

// String is "[redacted]", or empty for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is what %#v shows.
func (s Secret) GoString() string { return fmt.Sprintf("reload.Secret(%q)", s.String()) }

// Format shows the redacted text whatever the verb, so that none of them
// (%x, %d, …) gets at the bytes.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	_, _ = io.WriteString(f, text) // as fmt itself does, which has no one to tell
}

// LogValue is what slog shows.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what encoders of text, YAML among them, show.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON is what JSON shows.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// checkDSN says whether text has the shape of a Postgres connection string:
// a URL, or key=value pairs. What it means is found out by connecting. The
// error holds nothing of the text.
func checkDSN(text string) error {
	switch {
	case strings.ContainsAny(text, "\r\n\x00"):
		return fmt.Errorf("holds more than one line")
	case strings.HasPrefix(text, "postgres://"), strings.HasPrefix(text, "postgresql://"):
		return nil
	case strings.Contains(text, "=") && !strings.Contains(text, "://"):
		return nil
	}
	return fmt.Errorf("is not a Postgres DSN, such as postgres://login:password@host:5432/database")
}

// firstLine is a text without the byte order mark that an editor begins a file
// with, and without the line break that one ends it with.
func firstLine(text string) string {
	return strings.TrimRight(strings.TrimPrefix(text, "\ufeff"), "\r\n")
}

// dsnLike finds what a DSN has and the name of a file has not: a URL, words with
// an = between, a password before a host.
var dsnLike = regexp.MustCompile(`(?i)://|^\s*[a-z_]+\s*=|\bpassword\s*=|:[^/\s]*@`)

func looksLikeDSN(text string) bool { return dsnLike.MatchString(text) }

// plainPath is what is surely the path of a file.
var plainPath = regexp.MustCompile(`^\.{0,2}/[\w./+-]*$`)

// shownFile is the name of a file that holds a secret, unless it may be the
// secret itself.
func shownFile(file string) string {
	if info, err := os.Stat(filepath.Dir(file)); plainPath.MatchString(file) || err == nil && info.IsDir() && strings.Contains(file, "/") {
		return strconv.Quote(file)
	}
	return "(its value is not shown)"
}

// SecretFileError is the error of a file with a secret that cannot be read: what
// to do, and not the name that was given, where that may be the secret itself.
func SecretFileError(file string, err error) error {
	return fmt.Errorf("%s: %w%s", shownFile(file), cause(err), fileAdvice(err))
}
