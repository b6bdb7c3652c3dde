package app_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/understudy-worker/understudy/app"
)

func TestAGroupOfCommandsSaysWhatIsMissingBeforeItsFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"jobs --config f":         "understudy jobs: say what to do before its flags: ",
		"jobs -o json":            "understudy jobs: say what to do before its flags: ",
		"jobs":                    "understudy jobs: say what to do: ",
		"migrate --target=canary": "understudy migrate: say what to do before its flags: ",
		"--config f":              "understudy: say what to do before its flags: ",
	} {
		var said bytes.Buffer
		code := app.Run(t.Context(), app.Options{}, app.IO{Args: strings.Fields(args), In: strings.NewReader(""), Out: &said, Err: &said})
		if code != 2 || !strings.Contains(said.String(), want) || strings.Count(said.String(), "\n") != 1 {
			t.Errorf("%s: exit code %d, %s", args, code, said.String())
		}
		command := map[bool]string{true: "list", false: "up"}[strings.HasPrefix(args, "jobs")]
		if strings.HasPrefix(args, "-") {
			command = "enqueue"
		}
		if !strings.Contains(said.String(), command) {
			t.Errorf("%s: %q is not named in %s", args, command, said.String())
		}
	}
}

func TestAByteOrderMarkBeforeJSONIsSkipped(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.ok("enqueue", "mail", "\ufeff{\"n\": 1}")
	s.in = "\ufeff{\"n\": 2}\n{\"n\": 3}\n"
	s.ok("enqueue", "mail", "-")
	s.in = "\ufeff\n{\"n\": 4}\n"
	s.ok("enqueue", "mail", "-")
	var args string
	if err := s.pool.QueryRow(t.Context(), "SELECT string_agg(args::text, ' ' ORDER BY id) FROM "+s.production+".jobs").Scan(&args); err != nil || args != `{"n": 1} {"n": 2} {"n": 3} {"n": 4}` {
		t.Errorf("%s, %v", args, err)
	}
}
