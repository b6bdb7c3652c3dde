package app_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-worker/understudy/app"
)

func TestConfigurationThatCannotBeUsedIsOneLineAndExitCode2(t *testing.T) {
	t.Parallel()
	const dsns = "targets: {production: {dsn: 'postgres://u:hunter2@h/d'}, preview: {dsn: 'postgres://u:hunter2@h/d'}}\n"
	for name, c := range map[string]struct {
		yaml string
		args []string
		want []string
	}{
		"unknown key":        {dsns + "worker: {leese: 10s}", nil, []string{"worker.leese", "lease"}},
		"bad duration":       {dsns + "worker: {lease: soon}", nil, []string{"worker.lease", `"soon"`, "not a duration"}},
		"bad duration, flag": {dsns, []string{"--worker.poll_interval=1"}, []string{"--worker.poll_interval", "unit"}},
		"missing DSN":        {"log: {level: info}", nil, []string{"dsn", "dsn_file"}},
		"bad schema name":    {dsns, []string{"--targets.preview.schema=pg_mine"}, []string{"targets.preview.schema", "pg_mine"}},
		"no such target":     {dsns + "roles: {active: productoin}", nil, []string{"roles.active", "productoin"}},
		"no such handler":    {dsns + "handlers: {mail: {type: htpp}}", nil, []string{"handlers.mail", "htpp"}},
		"no such flag":       {dsns, []string{"--worker.leese=10s"}, []string{"worker.leese"}},
		"not YAML":           {"worker: [", nil, []string{"understudy.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "understudy.yaml")
			if err := os.WriteFile(file, []byte(c.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			args := append([]string{"run", "--role=active", "--http.addr=", "--config=" + file}, c.args...)
			code := app.Run(context.Background(), app.Options{}, app.IO{Args: args, In: strings.NewReader(""), Out: io.Discard, Err: &said})
			line := said.String()
			if code != 2 || strings.Count(line, "\n") != 1 {
				t.Errorf("exit code %d, want 2 and one line: %s", code, line)
			}
			for _, want := range c.want {
				if !strings.Contains(line, want) {
					t.Errorf("%q is not in: %s", want, line)
				}
			}
			if strings.Contains(line, "hunter2") {
				t.Errorf("a password is in: %s", line)
			}
		})
	}
}
