package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/store"
	"github.com/understudy-worker/understudy/supervisor"
)

func TestAMessageIsShortOfLongValuesAndOfNothingElse(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	for message, want := range map[string]string{
		`schema "a" is dirty: ` + long + ` in "b"`: `schema "a" is dirty: ` + long + ` in "b"`,
		`invalid "` + long + `" for "--x"`:         `invalid "` + long[:99] + `…" for "--x"`,
		`quoted "a\"` + long + `" ends`:            `quoted "a\"` + long[:96] + `…" ends`,
		`an odd " quote`:                           `an odd " quote`,
	} {
		if got := shortened(message); got != want {
			t.Errorf("%s\nbecame  %s\nwant    %s", message, got, want)
		}
	}
}

func TestAServerIsUnavailableWhereAskingAgainMayHelp(t *testing.T) {
	t.Parallel()
	answer := func(code string) error { return &pgconn.PgError{Severity: "FATAL", Code: code, Message: "x"} }
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"name not there":            {&net.DNSError{Err: "no such host", Name: "db", IsNotFound: true}, true},
		"name server not there":     {&net.DNSError{Err: "server misbehaving", Name: "db", IsTemporary: true}, true},
		"refused":                   {refused, true},
		"reset":                     {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
		"ended":                     {fmt.Errorf("receive: %w", io.ErrUnexpectedEOF), true},
		"no answer":                 {context.DeadlineExceeded, true},
		"starting":                  {answer("57P03"), true},
		"stopping":                  {answer("57P01"), true},
		"full":                      {answer("53300"), true},
		"no TLS, and starting":      {errors.Join(errors.New("server refused TLS connection"), answer("57P03")), true},
		"password":                  {answer("28P01"), false},
		"pg_hba.conf":               {answer("28000"), false},
		"database":                  {answer("3D000"), false},
		"grant":                     {answer("42501"), false},
		"password, and refused":     {errors.Join(refused, answer("28P01")), false},
		"unknown certificate":       {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, false},
		"certificate of ours wrong": {&net.OpError{Op: "remote error", Err: tls.AlertError(42)}, false},
		"no TLS":                    {errors.New("server refused TLS connection"), false},
	} {
		if got := unavailable(fmt.Errorf("connect: %w", c.err)); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

func TestSmokeEnqueuesNoJobASecondTimeWhoseFirstWasNotAcknowledged(t *testing.T) {
	t.Parallel()
	target := reload.Target{Name: "preview", DSN: reload.Secret(pgtest.DSN(t)), Schema: pgtest.Schema(t)}
	p := &preparer{log: slog.New(slog.DiscardHandler)}
	if err := p.migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	c, err := newClient(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer c.pool.Close()
	smoke := &smokeTest{smoking: smoking{job: store.NewJob{Kind: "echo"}, count: 3, timeout: time.Minute}, client: c, run: rand.Text()}
	for range 2 {
		before := smoke.ids
		if err := smoke.enqueue(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, smoke.ids); before != nil && diff != "" {
			t.Errorf("ids (-first +second):\n%s", diff)
		}
	}
	other := *smoke
	other.run = rand.Text()
	if err := other.enqueue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if other.ids[0] == smoke.ids[0] {
		t.Error("another run was given the same jobs")
	}
}

func TestWhoeverLooksTakesNoneOfTheHandlersConnections(t *testing.T) {
	t.Parallel()
	schema := pgtest.Schema(t)
	config := pgtest.Pool(t).Config()
	config.MaxConns = 1
	handlers, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer handlers.Close()
	if err := store.Migrate(t.Context(), config.ConnConfig, store.MigrateOptions{Schema: schema, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	held, err := handlers.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	life, over := context.WithCancel(t.Context())
	s := &server{}
	defer s.closing.Wait()
	defer over()
	jobs, err := s.openJobs(life, supervisor.Env{Target: "production", Schema: schema, Pool: handlers})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := jobs.Search(ctx, store.Search{}); err != nil {
		t.Errorf("a look while handlers hold all that is theirs: %v", err)
	}
	if place := jobs.Place(); place.Target != "production" || place.Schema != schema {
		t.Errorf("the jobs are said to be of %+v", place)
	}
}

func TestConnectionsThatTakeLongToCloseHoldUpTheProcessAndNoEpoch(t *testing.T) {
	t.Parallel()
	s := &server{}
	life, over := context.WithCancel(t.Context())
	away, closed := make(chan struct{}), make(chan struct{})
	s.closeAfter(life, func() {
		if life.Err() == nil {
			t.Error("they are closed while the epoch lasts")
		}
		<-away
		close(closed)
	})
	over() // the next epoch begins here
	close(away)
	s.closing.Wait()
	select {
	case <-closed:
	default:
		t.Error("the process ends with connections that are not closed")
	}
}

func TestATokenFileThatCannotBeUsedIsNamedAtTheStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	for _, c := range []struct{ content, want string }{
		{"", "http.token_file names a file that is empty: write a token to it"},
		{" \n", "http.token_file names a file that is empty: write a token to it"},
		{"secret\n", ""},
	} {
		if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkToken(reload.HTTP{TokenFile: file}); c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%q: got %v, want %q", c.content, err, c.want)
		}
	}
	var usage *usageError
	if err := checkToken(reload.HTTP{TokenFile: file + "-missing"}); !errors.As(err, &usage) || !strings.Contains(err.Error(), "http.token_file: \""+file) {
		t.Errorf("one that is missing: %v", err)
	}
	if err := checkToken(reload.HTTP{}); err != nil {
		t.Errorf("without one: %v", err)
	}
}

func TestALibrarysTextIsCutOffWhereItQuotesSomething(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http2: frame too large\n": "http2: frame too large",
		"Unsolicited response received on idle HTTP channel starting with \"secret\"; err=<nil>\n": "Unsolicited response received on idle HTTP channel starting with …",
		"invalid byte `secret`":                 "invalid byte …",
		"http: panic serving ::1: why\nstack\n": "http: panic serving ::1: why\nstack",
	} {
		if got := withoutValues(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestOpenTelemetrysErrorsAreLoggedWithoutTheirValues(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := &libraryLog{}
	l.use(newLogger(&out, reload.Log{Level: "info", Format: "json"}))
	otel := logr.FromSlogHandler(otelLog{l})
	otel.Error(errors.New("invalid URL escape \"%secret\""), "escape header value", "value", "secret")
	otel.V(1).Info("no news")
	var line struct{ Level, Text string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Level != "WARN" || line.Text != "OpenTelemetry: escape header value: invalid URL escape …" {
		t.Errorf("error %v, logged %s", err, out.String())
	}
}
