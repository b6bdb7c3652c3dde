package browser_test

import (
	_ "embed"
	"strings"
)

// audit lists what of a page some people could not use.
//
//go:embed testdata/audit.js
var audit string

// usable checks that a page can be used by everybody: on this screen, in either
// scheme of colours, by keyboard and screen reader.
func (tb *tab) usable() {
	tb.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		tb.prefers("prefers-color-scheme", scheme)
		if problems := ask[[]string](tb, audit); len(problems) > 0 {
			tb.t.Errorf("%s, %s:\n%s", ask[string](tb, "location.pathname"), scheme, strings.Join(problems, "\n"))
		}
	}
}
