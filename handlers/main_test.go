package handlers_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/handlers"
)

// workerVariable makes the test binary a worker that runs one exec job, whose
// program writes its process id to the file that the variable names.
const workerVariable = "HANDLERS_TEST_PID_FILE"

// secretVariable stands for a worker's DSN in its environment.
const secretVariable = "UNDERSTUDY_TARGETS__PRODUCTION__DSN"

func TestMain(m *testing.M) {
	if file := os.Getenv(workerVariable); file != "" {
		os.Exit(runAsWorker(file))
	}
	os.Setenv(secretVariable, "postgres://secret")
	adoptOrphans()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if left := childrenLeft(); code == 0 && left != "" {
			fmt.Fprintln(os.Stderr, "the tests left processes behind:", left)
			code = 1
		}
		os.Exit(code)
	}))
}

// runAsWorker runs a job that ends only with the worker.
func runAsWorker(file string) int {
	handler, err := handlers.New("k", map[string]any{
		"type": "exec", "command": []any{"sh", "-c", `echo $$ >"$1"; exec sleep 300`, "sh", file},
	}, place)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintln(os.Stderr, handler.Handle(context.Background(), newJob(`{}`)))
	return 1
}

// place is where the tests' handlers work.
var place = understudy.Place{Role: "preview", Target: "preview", Schema: "preview_x", Version: "2.0"}

// newJob is a job as a worker claims it.
func newJob(args string) *understudy.Job {
	return &understudy.Job{
		ID: 42, Queue: "mail", Kind: "k", Args: []byte(args), Attempt: 1, MaxAttempts: 25,
		Schema: "preview_x", CreatedAt: time.Unix(1_700_000_000, 5000),
	}
}

// newHandler makes a handler of kind "k", and closes it when the test ends.
func newHandler(t *testing.T, settings map[string]any) understudy.Handler {
	t.Helper()
	all, release, err := handlers.All(map[string]map[string]any{"k": settings}, place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return all["k"]
}

// shell makes an exec handler of a shell script. Its first argument, $1, is a
// directory for the test's files.
func shell(t *testing.T, script string, settings map[string]any) (understudy.Handler, string) {
	t.Helper()
	dir := t.TempDir()
	all := map[string]any{"type": "exec", "command": []any{"sh", "-c", script, "sh", dir}}
	for key, value := range settings {
		all[key] = value
	}
	return newHandler(t, all), dir
}

// goneProgram is a handler whose program was removed after it was found.
func goneProgram(t *testing.T) understudy.Handler {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prog")
	if err := os.WriteFile(file, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	handler, err := handlers.New("k", map[string]any{"type": "exec", "command": []any{file}}, place)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(file)
	return handler
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20s: %s", what)
		}
	}
}

// exists says whether a script has written a file.
func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// writtenPID waits for the process id that a script writes to a file.
func writtenPID(t *testing.T, dir, name string) int {
	t.Helper()
	pid := 0
	eventually(t, "a process id in "+name, func() bool {
		data, _ := os.ReadFile(filepath.Join(dir, name))
		text, whole := strings.CutSuffix(string(data), "\n")
		n, err := strconv.Atoi(text)
		pid = n
		return whole && err == nil
	})
	return pid
}
