package reload

import (
	"strings"
	"testing"
)

// TestAFileIsReadWholeHoweverItIsWritten loads the same keys as editors,
// templates and other formats write them.
func TestAFileIsReadWholeHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain":                     "version: \"1\"\n" + dsns,
		"a separator first":         "---\nversion: \"1\"\n" + dsns,
		"an empty document first":   "---\n# head of a template\n---\nversion: \"1\"\n" + dsns,
		"a null document first":     "---\n~\n---\nversion: \"1\"\n" + dsns,
		"empty documents first":     "---\n---\n---\nversion: \"1\"\n" + dsns,
		"an empty document last":    "version: \"1\"\n" + dsns + "---\n# the end\n",
		"an end":                    "version: \"1\"\n" + dsns + "...\n",
		"a byte order mark":         "\ufeffversion: \"1\"\n" + dsns,
		"lines that end in CR LF":   strings.ReplaceAll("---\n# head\n---\nversion: \"1\"\n"+dsns, "\n", "\r\n"),
		"JSON":                      "{\n\t\"version\": \"1\",\n\t\"targets\": {\n\t\t\"production\": {\"dsn\": \"postgres://a@b/c\"}, \"preview\": {\"dsn\": \"postgres://a@b/c\"}}\n}\n",
		"JSON on a line":            `{"version": "1", "targets": {"production": {"dsn": "postgres://a@b/c"}, "preview": {"dsn": "postgres://a@b/c"}}}`,
		"an anchor":                 "version: \"1\"\ntargets: {production: &one {dsn: 'postgres://a@b/c'}, preview: *one}\n",
		"a separator within a text": "version: \"1\"\n" + dsns + "handlers:\n  a:\n    type: exec\n    command:\n      - sh\n      - |\n        ---\n        exit\n",
	} {
		cfg := load(t, text)
		if cfg.Version != "1" || cfg.Targets["production"].DSN == "" {
			t.Errorf("%s: version %q, DSN %q", name, cfg.Version, cfg.Targets["production"].DSN)
		}
	}
	for name, text := range map[string]string{"empty": "", "notes": "# nothing\n", "separators": "---\n---\n", "null": "~\n"} {
		if tree, fault := parseYAML([]byte(text)); fault != nil || len(tree) != 0 {
			t.Errorf("%s: %v, %v; want an empty mapping", name, tree, fault)
		}
	}
}
