package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/pause"
)

// dockerImage is the official image of Postgres.
const dockerImage = "postgres:17"

// Bounds of the waits for Docker.
const (
	containerStart = time.Minute // from a container's start to its first connection
	dockerPatience = 30 * time.Second
	containerPoll  = 100 * time.Millisecond
)

// container is a Postgres in Docker. Its name is known before it is made, so
// that it can be removed however far that came.
type container struct{ name, password string }

func newContainer() *container {
	return &container{name: "understudy-demo-" + strings.ToLower(rand.Text()[:10]), password: rand.Text()}
}

// open runs a Postgres in the container until its database is closed.
func (c *container) open(ctx context.Context) (*database, error) {
	dsn, err := c.start(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("run %s in Docker: %w", dockerImage, err), c.remove())
	}
	return &database{dsn: dsn, where: "a container of " + dockerImage, close: c.remove}, nil
}

// start returns the container's DSN once it takes connections.
func (c *container) start(ctx context.Context) (string, error) {
	// The password is named, not given: arguments can be read by anyone.
	_, err := docker(ctx, []string{"POSTGRES_PASSWORD=" + c.password},
		"run", "--rm", "-d", "--name", c.name, "-p", "127.0.0.1::5432", "-e", "POSTGRES_PASSWORD", dockerImage)
	if err != nil {
		return "", err
	}
	out, err := docker(ctx, nil, "port", c.name, "5432/tcp")
	if err != nil {
		return "", err
	}
	address, _, _ := strings.Cut(out, "\n")
	dsn := (&url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", c.password), Host: strings.TrimSpace(address),
		Path: "/postgres", RawQuery: "sslmode=disable",
	}).String()
	return dsn, c.awaitReady(ctx, dsn)
}

// awaitReady waits until the server takes connections, or its container is gone.
func (c *container) awaitReady(ctx context.Context, dsn string) error {
	ctx, cancel := context.WithTimeout(ctx, containerStart)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil {
			return conn.Close(ctx)
		}
		if pause.For(ctx, containerPoll) != nil {
			return fmt.Errorf("it took no connection within %s: %w", containerStart, err)
		}
		if _, gone := docker(ctx, nil, "inspect", c.name); gone != nil && ctx.Err() == nil {
			return errors.New("its container ended while it started")
		}
	}
}

// remove removes the container with its data, if it is there.
func (c *container) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), dockerPatience)
	defer cancel()
	_, err := docker(ctx, nil, "rm", "--force", "--volumes", c.name)
	switch {
	case err == nil, strings.Contains(err.Error(), "No such container"):
		return nil
	case strings.Contains(err.Error(), "is already in progress"): // --rm was quicker
		return nil
	}
	return fmt.Errorf("remove container %s (do it with: docker rm -f -v %[1]s): %w", c.name, err)
}

// docker runs a command of Docker's and returns what it printed.
func docker(ctx context.Context, environ []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = append(os.Environ(), environ...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", fmt.Errorf("docker %s: %w: %s", args[0], err, lastLine(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndex(text, "\n")+1:]
}
