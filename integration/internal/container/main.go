package container

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// sweepPatience bounds the removal of what earlier runs left.
const sweepPatience = time.Minute

// Main runs the tests of a package between a check of Docker and a removal of
// what they shared, and fails if a goroutine was left behind. Under -short it
// only runs them. It does not return.
func Main(m goleak.TestingM, options ...goleak.Option) {
	flag.Parse() // testing.Short asks for it
	goleak.VerifyTestMain(tests{m}, options...)
}

// tests are the tests of a package together with the server they share.
type tests struct{ goleak.TestingM }

// Run returns the exit code.
func (t tests) Run() int {
	if testing.Short() {
		return t.TestingM.Run()
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "container:", err)
		return 1
	}
	code := t.TestingM.Run()
	if err := finish(); err != nil {
		fmt.Fprintln(os.Stderr, "container:", err)
		return max(code, 1)
	}
	return code
}

// prepare says once, before any test, what all of them would fail for.
func prepare() error {
	e, err := docker()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), sweepPatience)
	defer cancel()
	if _, err := e.postgresImage(ctx); err != nil {
		return err
	}
	return e.sweep(ctx)
}

// finish removes the shared server and closes the connections to Docker.
func finish() error {
	if err := shared.remove(); err != nil {
		return err
	}
	e, err := docker()
	if err != nil {
		return err
	}
	return e.client.Close()
}
