package app

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// output is the flag -o of a command: for people, or json.
type output struct{ people, chosen string }

// flag adds -o to the command; people is what its other form is called.
func (o *output) flag(cmd *cobra.Command, people string) {
	o.people, o.chosen = people, people
	cmd.Flags().VarP(o, "output", "o", "how to print: "+people+" or json")
}

func (o *output) String() string { return o.chosen }
func (o *output) Type() string   { return "format" }

// Set takes one of the two.
func (o *output) Set(text string) error {
	if text != o.people && text != "json" {
		return fmt.Errorf("use %s or json", o.people)
	}
	o.chosen = text
	return nil
}

func (o *output) json() bool { return o.chosen == "json" }

// writeJSON writes v as one indented JSON document.
func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// writeTable writes rows in aligned columns under a header.
func writeTable(w io.Writer, header []string, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		cells := make([]string, 0, len(row))
		for _, cell := range row {
			cells = append(cells, printable(cell))
		}
		if _, err := fmt.Fprintln(table, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return table.Flush()
}

// printable is text with spaces for its control characters: what a job says
// must neither break a table nor steer the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// brief is the first line of a text, cut to fit a table.
func brief(text string) string {
	const longest = 60
	line, rest, _ := strings.Cut(strings.TrimSpace(text), "\n")
	runes := []rune(line)
	if len(runes) > longest {
		return string(runes[:longest-1]) + "…"
	}
	if rest != "" {
		return line + " …"
	}
	return line
}

// quoted is a text between quotes, as strconv.Quote writes it.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// shortened is a message without most of a long value that somebody gave and
// it quotes. What it quotes in other ways may cost it its middle.
func shortened(message string) string {
	const longestValue, longest = 200, 2000
	message = quoted.ReplaceAllStringFunc(message, func(value string) string {
		if len(value) <= longestValue {
			return value
		}
		return strings.ToValidUTF8(value[:longestValue/2], "") + "…\""
	})
	if len(message) <= longest {
		return message
	}
	head, tail := message[:longest/2], message[len(message)-longest/2:]
	return strings.ToValidUTF8(head, "") + " … " + strings.ToValidUTF8(tail, "")
}

// secretText finds a URL with a login, and what is called a password. Whoever
// names a file, a flag or a command by a DSN gets an error that would repeat it.
var secretText = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://[^\s"'@]*@\S*|\b(ssl)?password\s*=\s*('[^']*'|[^\s"']+)`)

// withoutSecrets is a message without what may be a DSN in it.
func withoutSecrets(message string) string {
	return secretText.ReplaceAllStringFunc(message, func(found string) string {
		if strings.HasPrefix(found, "postgres://login:password@host") { // what an error says to write
			return found
		}
		return "[redacted]"
	})
}

// stamp is a time as tables show it: RFC 3339 to the second, in UTC.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// stampOf is stamp for a time that may not have come.
func stampOf(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return stamp(*t)
}

// orDash stands in for an empty text.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// plural is a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
