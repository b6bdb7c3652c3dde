//go:build cluster

package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// stopController stops the controller of Argo Rollouts, and returns what starts
// it again: its Deployment is scaled to none or, where the cluster's control
// plane runs as processes of this machine, its process is frozen.
func stopController(t *testing.T) (start func()) {
	t.Helper()
	const selector = "app.kubernetes.io/name=argo-rollouts"
	where := strings.Fields(kubectl(t, "get", "deployments", "-A", "-l", selector, "-o", "jsonpath={.items[*].metadata.namespace}"))
	if len(where) > 0 {
		kubectl(t, "scale", "deployment", "-n", where[0], "-l", selector, "--replicas=0")
		kubectl(t, "wait", "pod", "-n", where[0], "-l", selector, "--for=delete", "--timeout=60s")
		return onceAtLeast(t, func(ctx context.Context) error {
			_, err := run(ctx, "", "kubectl", "scale", "deployment", "-n", where[0], "-l", selector, "--replicas=1")
			return err
		})
	}
	pid := processOf("rollouts-controller")
	if pid == 0 {
		t.Fatal("there is neither a Deployment with the label " + selector + " nor a process rollouts-controller to stop")
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	return onceAtLeast(t, func(context.Context) error { return syscall.Kill(pid, syscall.SIGCONT) })
}

// onceAtLeast makes sure that start is called once, at the latest when the test ends.
func onceAtLeast(t *testing.T, start func(context.Context) error) func() {
	called := false
	once := func() {
		if !called {
			called = true
			if err := start(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(once)
	return once
}

// processOf is the id of the process of this machine that has this name, 0 for none.
func processOf(name string) int {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		program, err := os.Readlink(link)
		if errors.Is(err, os.ErrNotExist) || filepath.Base(program) != name {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
			return pid
		}
	}
	return 0
}
