//go:build unix

package handlers_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
)

// cancelled is a context, how to end it, and the cause it then has.
func cancelled(t *testing.T) (context.Context, func(), error) {
	cause := errors.New("the drain's deadline")
	ctx, cancel := context.WithCancelCause(t.Context())
	return ctx, func() { cancel(cause) }, cause
}

// handling runs a job in the background; the channel gives its error.
func handling(ctx context.Context, handler understudy.Handler) <-chan error {
	done := make(chan error, 1)
	go func() { done <- handler.Handle(ctx, newJob(`{}`)) }()
	return done
}

// isGone says whether there is no such process, not even an unreaped one.
func isGone(pid int) bool { return syscall.Kill(pid, 0) == syscall.ESRCH }

// wantGone fails unless a process is gone. Where the tests' process does not
// adopt orphans, it may take a moment until somebody has reaped it.
func wantGone(t *testing.T, what string, pid int) {
	t.Helper()
	if runtime.GOOS == "linux" && !isGone(pid) {
		t.Errorf("%s is still there when the handler has returned", what)
	}
	eventually(t, what+" is gone", func() bool { return isGone(pid) })
}

func TestTheProgramAndItsChildrenDieWithTheContext(t *testing.T) {
	t.Parallel()
	handler, dir := shell(t, `
		sh -c 'sleep 300 & echo $! >"$0/grandchild"; wait' "$1" &
		echo $! >"$1/child"
		echo $$ >"$1/parent"
		wait`, nil)
	ctx, cancel, cause := cancelled(t)
	done := handling(ctx, handler)
	parent, child, grandchild := writtenPID(t, dir, "parent"), writtenPID(t, dir, "child"), writtenPID(t, dir, "grandchild")
	for _, pid := range []int{parent, child, grandchild} {
		if isGone(pid) {
			t.Fatalf("process %d is gone before the context is", pid)
		}
	}
	cancel()
	if err := <-done; err != cause {
		t.Errorf("error %v, want the context's cause", err)
	}
	wantGone(t, "the program", parent)
	wantGone(t, "its child", child)
	wantGone(t, "its grandchild", grandchild)
}

func TestTheProgramMayTidyUpBeforeItIsKilled(t *testing.T) {
	t.Parallel()
	handler, dir := shell(t, `
		trap 'touch "$1/tidied"; echo "{}"; exit 0' TERM
		echo $$ >"$1/parent"
		while :; do sleep 0.01; done`, map[string]any{"kill_grace": "5s"})
	ctx, cancel, cause := cancelled(t)
	done := handling(ctx, handler)
	writtenPID(t, dir, "parent")
	cancel()
	if err := <-done; err != cause {
		t.Errorf("error %v, want the context's cause even when the program then ends well", err)
	}
	if !exists(dir, "tidied") {
		t.Error("the program had no time to tidy up")
	}
}

func TestAProgramThatIgnoresTheSignalIsKilledAfterTheGrace(t *testing.T) {
	t.Parallel()
	for _, grace := range []time.Duration{0, 300 * time.Millisecond} {
		handler, dir := shell(t, `
			trap '' TERM
			sleep 300 &
			echo $! >"$1/child"
			echo $$ >"$1/parent"
			while :; do sleep 0.01; done`, map[string]any{"kill_grace": grace})
		ctx, cancel, cause := cancelled(t)
		done := handling(ctx, handler)
		parent, child := writtenPID(t, dir, "parent"), writtenPID(t, dir, "child")
		began := time.Now()
		cancel()
		if err := <-done; err != cause {
			t.Errorf("error %v, want the context's cause", err)
		}
		if took := time.Since(began); took < grace {
			t.Errorf("killed after %s, within its grace of %s", took, grace)
		}
		wantGone(t, "the program", parent)
		wantGone(t, "its child", child)
	}
}

func TestWhatAProgramLeavesBehindIsKilled(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ script, want string }{
		{`sleep 300 & echo $! >"$1/child"; echo 1`, "completed"},
		{`trap '' TERM HUP; sleep 300 & echo $! >"$1/child"; echo 1; exit 1`, "retried"},
	} {
		handler, dir := shell(t, test.script, nil)
		began := time.Now()
		err := handler.Handle(t.Context(), newJob(`{}`))
		if got := verdict(err); got != test.want {
			t.Errorf("%s (%v), want %s", got, err, test.want)
		}
		if took := time.Since(began); took > 60*time.Second {
			t.Errorf("it took %s: the child held the pipes", took)
		}
		wantGone(t, "the child", writtenPID(t, dir, "child"))
	}
}

func TestAProcessThatLeftTheGroupHoldsNothingUp(t *testing.T) {
	t.Parallel()
	setsid, err := exec.LookPath("setsid")
	if err != nil {
		t.Fatalf("the test needs setsid of util-linux: %v", err)
	}
	handler, dir := shell(t, setsid+` sh -c 'echo $$ >"$0/escaped"; exec sleep 300' "$1" &
		while ! [ -s "$1/escaped" ]; do sleep 0.01; done; echo '{"ok": true}'`, nil)
	job := newJob(`{}`)
	if err := handler.Handle(t.Context(), job); err != nil || string(job.Result()) != `{"ok":true}` {
		t.Errorf("error %v, result %s", err, job.Result())
	}
	escaped := writtenPID(t, dir, "escaped")
	if isGone(escaped) {
		t.Error("the process did not leave the group, so the test proves nothing")
	}
	syscall.Kill(escaped, syscall.SIGKILL)
	syscall.Wait4(escaped, nil, 0, nil)
}

func TestAProgramOutlivesTheThreadsOfOthers(t *testing.T) {
	t.Parallel()
	handler, dir := shell(t, `echo $$ >"$1/parent"; while ! [ -e "$1/go" ]; do sleep 0.01; done`, nil)
	var jobs []<-chan error
	for range 4 {
		jobs = append(jobs, handling(t.Context(), handler))
	}
	writtenPID(t, dir, "parent")
	var threads sync.WaitGroup
	for range 100 {
		// A goroutine that ends without unlocking takes its thread with it.
		threads.Go(runtime.LockOSThread)
	}
	threads.Wait()
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, done := range jobs {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
