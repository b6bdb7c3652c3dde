package app_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/app"
)

// TestNothingThatWasGivenAsADSNIsRepeated gives DSNs, right ones and wrong ones,
// where they belong and where they do not, to programs that end of themselves or
// go on trying, and looks for a piece of their password in all that is said.
func TestNothingThatWasGivenAsADSNIsRepeated(t *testing.T) {
	t.Parallel()
	const at, slash, good, words = "postgres://u:p@TOPSECRET@127.0.0.1:1/db", "postgres://u:12/TOPSECRET@127.0.0.1:1/db",
		"postgres://u:TOPSECRET@127.0.0.1:1/db", "host=127.0.0.1 port=1 password=TOPSECRET"
	for _, c := range []struct{ variable, args string }{
		{"", "run|--role=active|--targets.production.dsn=" + at},
		{"", "run|--role=active|--targets.production.dsn=" + good},
		{"", "run|--role=active|--targets.production={dsn: \"" + good + "\"}"},
		{"", "run|--role=active|-dsn=" + at},
		{"", "run|--role=active|-dsn=" + words},
		{"", "run|--role=active|--config=" + at},
		{"", "run|--role=" + at},
		{"", "run|" + at},
		{"", at},
		{"", "demo|" + at},
		{"", "demo|--dsn=" + at},
		{"", "demo|--dsn=" + words + " TOPSECRET"},
		{"", "jobs|list|--target=" + at},
		{"TARGETS__PRODUCTION__DSN=" + good, "jobs|list|--schema=" + at},
		{"TARGETS__PRODUCTION__DSN=" + good, "jobs|list"},
		{"TARGETS__PRODUCTION__DSN=" + words, "migrate|status"},
		{"TARGETS__PRODUCTION__DSN=" + at, "run|--role=active"},
		{"TARGETS__PRODUCTION__DSN=" + slash, "run|--role=active"},
		{"TARGETS__PRODUCTION__DSN=" + slash, "migrate|up"},
		{"TARGETS__PRODUCTION__DSN=TOPSECRET", "run|--role=active"},
		{"TARGETS__PRODUCTION__DSN=" + good + "\nTOPSECRET", "run|--role=active"},
		{"TARGETS__PRODUCTION__DSN_FILE=" + good, "run|--role=active"},
		{"TARGETS__PRODUCTION__DSN_FILE=" + words, "workers"},
		{"TARGETS__PRODUCTION__DSN_FILE=u:TOPSECRET@h/db", "run|--role=active"},
		{"TARGETS__PRODUCTION__DSN_FILE=TOPSECRET", "run|--role=active"},
		{"TARGETS__PRODUCTION__DSN_FILE=TOPSECRET", "workers"},
		{"TARGETS__PRODUCTION__DSN_FILE=TOP\nSECRET", "workers"},
		{"TARGETS__PRODUCTION__MIGRATE_DSN=" + at, "migrate|up"},
		{"TARGETS__PRODUCTION__MIGRATE_DSN_FILE=" + at, "migrate|up"},
		{"TARGETS__PRODUCTION__MIGRATE_DSN_FILE=TOPSECRET", "migrate|up"},
		{"TARGETS__PRODUCTION=" + good, "run|--role=active"},
		{"TARGETS__PRODUCTION={dsn: {u: TOPSECRET}}", "run|--role=active"},
		{"TARGETS__PRODUCTION={dsn_file: [TOPSECRET]}", "run|--role=active"},
		{"TARGETS__PRODUCTION__SCHEMA=" + good, "run|--role=active"},
		{"ROLES__ACTIVE=" + good, "run|--role=active"},
		{"HTTP__TOKEN_FILE=TOPSECRET", "run|--role=active|--targets.production.dsn=" + good},
		{"HANDLERS={mail: {type: http, url: \"http://u:TOPSECRET@[\"}}", "run|--role=active|--targets.production.dsn=" + good},
		{"HANDLERS={mail: {type: http, url: \"ftp://u:TOPSECRET@h/TOPSECRET@x\"}}", "run|--role=active|--targets.production.dsn=" + good},
		{"HANDLERS={mail: {type: http, url: \"http://h\", headers: {\"Authorization: TOPSECRET\": x}}}", "run|--role=active|--targets.production.dsn=" + good},
		{"HANDLERS={mail: {type: http, url: \"http://h\", headers: [\"Authorization: TOPSECRET\"]}}", "run|--role=active|--targets.production.dsn=" + good},
	} {
		t.Run(c.variable+" "+c.args, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second) // what goes on trying has said what it says
			defer cancel()
			var said output
			environ := []string{"UNDERSTUDY_HTTP__ADDR=", "UNDERSTUDY_" + c.variable}
			if c.variable == "" {
				environ = environ[:1]
			}
			app.Run(ctx, app.Options{}, app.IO{Args: strings.Split(c.args, "|"), Environ: environ, In: strings.NewReader(""), Out: &said, Err: &said})
			if text := said.String(); text == "" || strings.Contains(text, "TOPSECRET") {
				t.Errorf("it says %q", text)
			}
		})
	}
}

func TestADSNGivenAsAFlagWarnsThatPsShowsIt(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte("postgres://u@127.0.0.1:1/db"), 0o600); err != nil {
		t.Fatal(err)
	}
	const warning = "shown by ps"
	for _, c := range []struct {
		flag string
		want bool
	}{
		{"--targets.production.dsn=postgres://u@127.0.0.1:1/db", true},
		{"--targets.production={dsn: 'postgres://u@127.0.0.1:1/db'}", true},
		{"--targets={production: {'dsn': 'postgres://u@127.0.0.1:1/db'}}", true},
		{"--targets.production.dsn_file=" + file, false},
		{"--log.level=info", false},
	} {
		var said bytes.Buffer
		environ := []string{}
		if !c.want {
			environ = append(environ, "UNDERSTUDY_TARGETS__PRODUCTION__DSN_FILE="+file)
		}
		app.Run(t.Context(), app.Options{}, app.IO{Args: []string{"migrate", "status", "--target=production", c.flag}, Environ: environ, In: strings.NewReader(""), Out: io.Discard, Err: &said})
		if got := strings.Count(said.String(), warning); got != map[bool]int{true: 1}[c.want] {
			t.Errorf("%s: warned %d times, %s", c.flag, got, said.String())
		}
	}
}
