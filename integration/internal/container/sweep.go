package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/moby/moby/client"
)

// Labels of every container: whose it is.
const (
	testLabel  = "understudy.test"
	hostLabel  = "understudy.test.host" // an engine may serve many machines
	pidLabel   = "understudy.test.pid"
	startLabel = "understudy.test.start" // a pid comes again
)

// ownLabels are the labels of this process's containers.
func ownLabels() (map[string]string, error) {
	return labelsOf(os.Getpid())
}

func labelsOf(pid int) (map[string]string, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name this machine: %w", err)
	}
	start, err := startTime(pid)
	if err != nil {
		return nil, fmt.Errorf("find out when process %d began: %w", pid, err)
	}
	return map[string]string{testLabel: "true", hostLabel: host, pidLabel: strconv.Itoa(pid), startLabel: start}, nil
}

// startTime is when a process began. Only equality counts: Linux counts ticks
// since its boot, others print a time.
func startTime(pid int) (string, error) {
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		return startTicks(pid)
	}
	out, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output()
	return strings.TrimSpace(string(out)), err
}

// startTicks reads field 22 of a process's stat file. The second field is the
// program's name in parentheses, which may hold anything.
func startTicks(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat has too few fields", pid)
	}
	return fields[19], nil
}

// sweep removes the containers of this machine's processes that are gone.
func (e *engine) sweep(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name this machine: %w", err)
	}
	filters := make(client.Filters).Add("label", testLabel+"=true", hostLabel+"="+host)
	found, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return fmt.Errorf("list the containers that earlier runs left: %w", err)
	}
	var errs []error
	for _, item := range found.Items {
		if !isAlive(item.Labels) {
			errs = append(errs, e.remove(ctx, item.ID))
		}
	}
	return errors.Join(errs...)
}

// isAlive says whether the process that made a container still runs.
func isAlive(labels map[string]string) bool {
	pid, err := strconv.Atoi(labels[pidLabel])
	if err != nil {
		return false
	}
	start, err := startTime(pid)
	return err == nil && start == labels[startLabel]
}

// remove removes a container with its volumes, whatever it is doing. One that
// is gone, or that another process removes just now, is no error.
func (e *engine) remove(ctx context.Context, id string) error {
	_, err := e.client.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	switch {
	case err == nil, strings.Contains(err.Error(), "No such container"), strings.Contains(err.Error(), "is already in progress"):
		return nil
	}
	return fmt.Errorf("remove container %.12s (do it with: docker rm -f -v %[1]s): %w", id, err)
}
