package container

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// orphanVariable, when set, makes the test program one that runs a server
// until it is killed.
const orphanVariable = "UNDERSTUDY_TEST_ORPHAN"

func TestMain(m *testing.M) {
	if os.Getenv(orphanVariable) != "" {
		runOrphan()
	}
	Main(m)
}

// runOrphan prints the id of a container and waits for its end.
func runOrphan() {
	p, err := shared.start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(p.container.GetContainerID())
	select {}
}

func TestWithoutAnEngineATestRunIsOneLineAndFails(t *testing.T) {
	t.Parallel()
	code, out := again(t, "DOCKER_HOST=unix:///nonexistent.sock")
	want := "container: there is no Docker engine to talk to: start one, name it with $DOCKER_HOST, or run with -short: "
	if code != 1 || !strings.HasPrefix(out, want) || strings.Count(out, "\n") != 1 {
		t.Errorf("exit code %d, output %q; want 1 and one line that begins with %q", code, out, want)
	}
}

func TestUnderShortNoEngineIsNeeded(t *testing.T) {
	t.Parallel()
	if code, out := again(t, "DOCKER_HOST=unix:///nonexistent.sock", "-test.short"); code != 0 {
		t.Errorf("exit code %d, output %q; want 0", code, out)
	}
}
