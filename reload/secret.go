package reload

import (
	"fmt"
	"io"
	"log/slog"
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
