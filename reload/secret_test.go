package reload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	t.Parallel()
	const dsn = "postgres://app:hunter2@db/x"
	cfg := load(t, dsns)
	cfg.Targets["production"] = TargetConfig{DSN: dsn, MigrateDSN: dsn, Schema: "production"}
	target := Target{Name: "production", DSN: dsn, MigrateDSN: dsn}
	w := watcher(t, cfg)
	w.last = Snapshot{Target: target}
	for name, v := range map[string]any{
		"Secret": Secret(dsn), "pointer": new(Secret(dsn)), "slice": []Secret{dsn},
		"map": map[string]Secret{"a": dsn}, "Target": target, "Snapshot": Snapshot{Target: target},
		"Config": cfg, "Watcher": w, "Watcher's value": struct{ W *Watcher }{w},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
			check(t, name+" by "+verb, fmt.Sprintf(verb, v))
		}
		check(t, name+" by slog as text", logged(v, func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }))
		check(t, name+" by slog as JSON", logged(v, func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }))
		asJSON, _ := json.Marshal(v)
		check(t, name+" as JSON", string(asJSON))
		if name != "Watcher" && name != "Watcher's value" {
			asYAML, _ := yaml.Marshal(v)
			check(t, name+" as YAML", string(asYAML))
		}
	}
}

func logged(v any, handler func(*bytes.Buffer) slog.Handler) string {
	var b bytes.Buffer
	slog.New(handler(&b)).Info("x", "v", v, slog.Group("g", "v", v))
	return b.String()
}

func check(t *testing.T, how, shown string) {
	t.Helper()
	for _, part := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2"), "app:"} {
		if strings.Contains(shown, part) {
			t.Errorf("%s shows the secret: %s", how, shown)
		}
	}
}

func TestSecretRevealsItsTextToWhoAsks(t *testing.T) {
	t.Parallel()
	s := Secret("postgres://db")
	if s.Reveal() != "postgres://db" || s.String() != "[redacted]" || Secret("").String() != "" {
		t.Errorf("Reveal %q, String %q, empty String %q", s.Reveal(), s, Secret(""))
	}
	if got, err := json.Marshal(s); err != nil || string(got) != `"[redacted]"` {
		t.Errorf("JSON %s, %v", got, err)
	}
}

func TestADSNIsTakenWithoutTheLineBreakBehindIt(t *testing.T) {
	t.Parallel()
	const want = Secret("postgres://u:p@h/db")
	for _, given := range []string{string(want), string(want) + "\n", string(want) + "\r\n", "\ufeff" + string(want) + "\n"} {
		cfg := load(t, "", "UNDERSTUDY_TARGETS__PRODUCTION__DSN="+given, "UNDERSTUDY_TARGETS__PRODUCTION__MIGRATE_DSN="+given, "UNDERSTUDY_TARGETS__PREVIEW__DSN_FILE="+writeFile(t, filepath.Join(t.TempDir(), "dsn"), given))
		if target := cfg.Targets["production"]; target.DSN != want || target.MigrateDSN != want {
			t.Errorf("%q as a variable: %q, %q", given, target.DSN.Reveal(), target.MigrateDSN.Reveal())
		}
		if target, err := ReadTarget(cfg, "preview", map[string]string{templateHashLabel: "1"}); err != nil || target.DSN != want {
			t.Errorf("%q in a file: %q, %v", given, target.DSN.Reveal(), err)
		}
	}
	if cfg := load(t, "targets:\n  production:\n    dsn: |\n      "+want.Reveal()+"\n  preview: {dsn: x=y}\n"); cfg.Targets["production"].DSN != want {
		t.Errorf("as a block of YAML: %q", cfg.Targets["production"].DSN.Reveal())
	}
}
