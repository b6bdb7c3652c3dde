//go:build cluster

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/internal/pause"
)

// commandTimeout bounds one command; what takes longer is waited for by asking again.
const commandTimeout = 2 * time.Minute

// run runs a command with that input and returns what it printed; the error has
// what it complained of.
func run(ctx context.Context, input, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), errors.Join(err, context.Cause(ctx)), strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// kubectl runs kubectl on the cluster, or ends the test.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(t.Context(), "", "kubectl", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// waitFor asks until the answer is yes, or ends the test and says how it stood.
func waitFor(t *testing.T, what string, within time.Duration, ask func() (ok bool, now string)) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		ok, now := ask()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s; now: %s", within, what, now)
		}
		if err := pause.For(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
	}
}
