package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/app"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// shell runs commands against a production and a preview schema of a test's
// own, neither of which exists at first.
type shell struct {
	t                   *testing.T
	options             app.Options
	environ             []string
	in                  string
	dsn                 string
	password            string
	production, preview string
	pool                *pgxpool.Pool
}

func newShell(t *testing.T) *shell {
	t.Helper()
	s := &shell{t: t, dsn: pgtest.DSN(t), pool: pgtest.Pool(t), production: pgtest.Schema(t), preview: pgtest.Schema(t)}
	s.password = s.pool.Config().ConnConfig.Password
	s.environ = []string{
		"UNDERSTUDY_TARGETS__PRODUCTION__DSN=" + s.dsn, "UNDERSTUDY_TARGETS__PRODUCTION__SCHEMA=" + s.production,
		"UNDERSTUDY_TARGETS__PREVIEW__DSN=" + s.dsn, "UNDERSTUDY_TARGETS__PREVIEW__SCHEMA=" + s.preview,
	}
	return s
}

// migratedShell is a shell with production migrated, or these targets.
func migratedShell(t *testing.T, targets ...string) *shell {
	t.Helper()
	s := newShell(t)
	if targets == nil {
		targets = []string{"production"}
	}
	for _, target := range targets {
		s.ok("migrate", "up", "--target="+target)
	}
	return s
}

// ran is what a command did.
type ran struct {
	code     int
	out, err string
}

// run runs a command with s.in as its input. Whatever it prints must not hold
// the password.
func (s *shell) run(args ...string) ran {
	s.t.Helper()
	return s.runWith(s.t.Context(), strings.NewReader(s.in), args...)
}

func (s *shell) runWith(ctx context.Context, in io.Reader, args ...string) ran {
	s.t.Helper()
	var out, errs bytes.Buffer
	code := app.Run(ctx, s.options, app.IO{Args: args, Environ: s.environ, In: in, Out: &out, Err: &errs})
	if s.password != "" && strings.Contains(out.String()+errs.String(), s.password) {
		s.t.Errorf("%q prints the password", args)
	}
	return ran{code, out.String(), errs.String()}
}

// ok runs a command that must succeed and returns what it printed.
func (s *shell) ok(args ...string) string {
	s.t.Helper()
	r := s.run(args...)
	if r.code != 0 {
		s.t.Fatalf("%q: exit code %d: %s", args, r.code, r.err)
	}
	return r.out
}

// fails runs a command that must fail with this code, and one line that holds
// all of these.
func (s *shell) fails(code int, want []string, args ...string) {
	s.t.Helper()
	r := s.run(args...)
	if r.code != code || strings.Count(r.err, "\n") != 1 || !strings.HasPrefix(r.err, "understudy: ") {
		s.t.Errorf("%q: exit code %d with %q, want %d and one line", args, r.code, r.err, code)
	}
	for _, text := range want {
		if !strings.Contains(r.err, text) {
			s.t.Errorf("%q: error %q, want %q in it", args, r.err, text)
		}
	}
}

// parsed runs a command with -o json and decodes what it printed.
func parsed[T any](s *shell, args ...string) (value T) {
	s.t.Helper()
	decodeInto(s.t, s.ok(append(args, "-o", "json")...), &value)
	return value
}

// decodeInto decodes exactly one JSON document whose every field v knows.
func decodeInto(t *testing.T, text string, v any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if decoder.More() {
		t.Fatalf("more than one JSON document in %s", text)
	}
}

// enqueued is what enqueue -o json prints.
type enqueued struct {
	Target, Schema, Kind string
	IDs                  []int64
}

func (s *shell) enqueue(args ...string) []int64 {
	s.t.Helper()
	return parsed[enqueued](s, append([]string{"enqueue"}, args...)...).IDs
}

func (s *shell) jobs(args ...string) []store.JobRow {
	s.t.Helper()
	return parsed[[]store.JobRow](s, append([]string{"jobs", "list"}, args...)...)
}

func (s *shell) exec(sql string, args ...any) {
	s.t.Helper()
	sql = strings.NewReplacer("{production}", quoted(s.production), "{preview}", quoted(s.preview)).Replace(sql)
	if _, err := s.pool.Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatal(err)
	}
}

// withParameter is a DSN in URL form with a run-time parameter more.
func withParameter(dsn, name, value string) string {
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	return dsn + separator + name + "=" + url.QueryEscape(value)
}
