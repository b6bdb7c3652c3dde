package container

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/moby/moby/client"
)

func TestContainersOfAKilledRunAreRemovedAndThoseOfALiveOneAreNot(t *testing.T) {
	t.Parallel()
	e := needEngine(t)
	parent, id := startOrphan(t)
	volumes := volumesOf(t, e, id)
	if err := e.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !exists(t, e, id) {
		t.Fatal("the container of a process that still runs was removed")
	}

	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	if err := e.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exists(t, e, id) {
		t.Error("the container of a killed process was left")
	}
	for _, name := range volumes {
		if _, err := e.client.VolumeInspect(t.Context(), name, client.VolumeInspectOptions{}); err == nil {
			t.Errorf("volume %s of a killed process's container was left", name)
		}
	}
}

func TestAProcessThatOnlyHasThePidOfAnotherOwnsNothing(t *testing.T) {
	t.Parallel()
	labels, err := ownLabels()
	if err != nil {
		t.Fatal(err)
	}
	if !isAlive(labels) {
		t.Errorf("labels %v are said to be of a process that is gone, but it is this one", labels)
	}
	labels[startLabel] += "0"
	if isAlive(labels) {
		t.Errorf("labels %v are said to be of this process, which began at another time", labels)
	}
}

// startOrphan runs a program with a server of its own and returns the id of
// that one's container.
func startOrphan(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(program)
	parent.Env = append(os.Environ(), orphanVariable+"=1")
	parent.Stderr = os.Stderr
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = parent.Process.Kill(); _ = parent.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the program printed no container: %v", err)
	}
	return parent, strings.TrimSpace(line)
}

func exists(t *testing.T, e *engine, id string) bool {
	t.Helper()
	filters := make(client.Filters).Add("id", id)
	found, err := e.client.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		t.Fatal(err)
	}
	return len(found.Items) > 0
}

func volumesOf(t *testing.T, e *engine, id string) (names []string) {
	t.Helper()
	found, err := e.client.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, mount := range found.Container.Mounts {
		names = append(names, mount.Name)
	}
	if len(names) == 0 {
		t.Fatal("a server has no volume")
	}
	return names
}
