package handlers_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheProgramIsGivenTheJob(t *testing.T) {
	t.Parallel()
	handler, dir := shell(t, `printf '{"args": %s, "env": "' "$(cat)"; env | grep ^UNDERSTUDY_ | sort | tr '\n' ' '; printf '"}'`, nil)
	job := newJob(`{"a": 1}`)
	if err := handler.Handle(t.Context(), job); err != nil {
		t.Fatal(err, dir)
	}
	want := `{"args":{"a":1},"env":"UNDERSTUDY_JOB_ATTEMPT=1 UNDERSTUDY_JOB_ID=42 UNDERSTUDY_JOB_KIND=k ` +
		`UNDERSTUDY_JOB_MAX_ATTEMPTS=25 UNDERSTUDY_JOB_QUEUE=mail UNDERSTUDY_JOB_ROLE=preview UNDERSTUDY_JOB_SCHEMA=preview_x ` +
		`UNDERSTUDY_JOB_TARGET=preview UNDERSTUDY_JOB_VERSION=2.0 "}`
	if diff := cmp.Diff(want, string(job.Result())); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestTheWorkersSettingsStayInTheWorker(t *testing.T) {
	t.Parallel()
	handler, _ := shell(t, `test -z "$`+secretVariable+`" && test -n "$PATH" && test "$GREETING" = hello && test "$DEBUG" = true`,
		map[string]any{"env": map[string]any{"GREETING": "hello", "DEBUG": true}})
	if os.Getenv(secretVariable) == "" {
		t.Fatal("the worker has no secret to keep")
	}
	if err := handler.Handle(t.Context(), newJob(`{}`)); err != nil {
		t.Error(err)
	}
}

func TestTheProgramRunsInItsDirectory(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nprintf '\"%s %s\"' \"$(pwd)\" \"$PWD\"\n"
	if err := os.WriteFile(filepath.Join(dir, "job.sh"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	handler := newHandler(t, map[string]any{"type": "exec", "command": []any{"sh", "job.sh"}, "dir": dir})
	job := newJob(`{}`)
	if err := handler.Handle(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if want := `"` + dir + " " + dir + `"`; string(job.Result()) != want {
		t.Errorf("ran in %s, want %s", job.Result(), want)
	}
}

func TestARelativeProgramIsInItsDirectory(t *testing.T) {
	t.Parallel()
	newHandler(t, map[string]any{"type": "exec", "command": []any{"bin/sh"}, "dir": "/"})
}

func TestTheEndOfTheProgramDecides(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, script, want, result, says, warning string }{
		{name: "JSON", script: `echo '{"a": 1}'`, want: "completed", result: `{"a":1}`},
		{name: "a text", script: `echo done; echo talk >&2`, want: "completed"},
		{name: "silence", script: `exit 0`, want: "completed"},
		{name: "JSON behind a byte order mark", script: `printf '\357\273\277{"a": 1}'`, want: "completed", result: `{"a":1}`},
		{name: "as long as may be", script: `printf '"%062d"' 0`, want: "completed", result: `"` + strings.Repeat("0", 62) + `"`},
		{name: "a byte too long", script: `printf '"%063d"' 0`, want: "completed", warning: "result has more than 64 bytes, the limit of max_output_bytes"},
		{name: "far too long", script: `head -c 300000 /dev/zero | tr '\0' '['`, want: "completed", warning: "result has more than 64 bytes, the limit of max_output_bytes"},
		{name: "a long text", script: `head -c 300000 /dev/zero | tr '\0' x`, want: "completed"},
		{name: "a failure", script: `echo '{"a": 1}'; echo why >&2; exit 3`, want: "retried", says: "run sh: exit status 3: why"},
		{name: "a failure that says nothing", script: `exit 255`, want: "retried", says: "run sh: exit status 255"},
		{name: "a failure to discard", script: `echo no >&2; exit 65`, want: "discarded", says: "discard: run sh: exit status 65: no"},
		{name: "a signal", script: `kill -KILL $$`, want: "retried", says: "run sh: signal: killed"},
		{name: "a bad text", script: `printf 'a\000b\377c\033[1m' >&2; exit 1`, want: "retried", says: "run sh: exit status 1: ab\ufffdc[1m"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			handler, _ := shell(t, test.script, map[string]any{"max_output_bytes": 64, "discard_exit_codes": []any{65, 66}})
			job := newJob(`{}`)
			err := handler.Handle(t.Context(), job)
			if got := verdict(err); got != test.want {
				t.Errorf("%s (%v), want %s", got, err, test.want)
			}
			if err != nil && err.Error() != test.says {
				t.Errorf("error %q, want %q", err, test.says)
			}
			if diff := cmp.Diff(test.result, string(job.Result())); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.warning, job.Warning()); diff != "" {
				t.Errorf("warning (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheErrorEndsAsStandardErrorDoes(t *testing.T) {
	t.Parallel()
	handler, _ := shell(t, `head -c 300000 /dev/zero | tr '\0' x >&2; echo >&2; echo the end >&2; exit 1`, nil)
	err := handler.Handle(t.Context(), newJob(`{}`))
	if err == nil || !strings.HasSuffix(err.Error(), "xxx\nthe end") || len(err.Error()) > 5000 {
		t.Errorf("error %.100q…, want the last 4 KiB of standard error", err)
	}
}

func TestArgumentsNeedNotBeRead(t *testing.T) {
	t.Parallel()
	args := `"` + strings.Repeat("x", 1<<20) + `"`
	for _, script := range []string{`echo 1`, `head -c 1 >/dev/null; echo 1`, `exec <&-; echo 1`, `wc -c`} {
		handler, _ := shell(t, script, nil)
		job := newJob(args)
		if err := handler.Handle(t.Context(), job); err != nil || job.Result() == nil {
			t.Errorf("%s: error %v, result %q", script, err, job.Result())
		}
	}
}

func TestAProgramThatIsGoneIsRetried(t *testing.T) {
	t.Parallel()
	err := goneProgram(t).Handle(t.Context(), newJob(`{}`))
	if verdict(err) != "retried" || !strings.HasPrefix(err.Error(), "run prog: ") {
		t.Errorf("error %v, want a retry", err)
	}
}

func TestATimeoutIsRetried(t *testing.T) {
	t.Parallel()
	handler, _ := shell(t, `echo thinking >&2; sleep 300`, map[string]any{"timeout": "200ms"})
	began := time.Now()
	err := handler.Handle(t.Context(), newJob(`{}`))
	if verdict(err) != "retried" || err.Error() != "run sh: not done within 200ms: stopped: thinking" {
		t.Errorf("error %v, want a retry because time was up", err)
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("stopped after %s, before its time was up", took)
	}
}
