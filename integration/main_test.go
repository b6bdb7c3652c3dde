package integration_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/understudy-worker/understudy/integration/internal/container"
	"github.com/understudy-worker/understudy/integration/internal/wire"
)

func TestMain(m *testing.M) { container.Main(suite{m}, wire.LeftBehind()...) }

// suite is these tests and the programs that they build.
type suite struct{ *testing.M }

func (s suite) Run() int {
	defer programs.remove()
	if err := errors.Join(waitTogether(), os.Setenv("GORACE", raceOptions)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.M.Run()
}

// raceOptions are what the programs' race detector is told: a race ends its
// program, and the second that each waits at its end for others is too long for
// so many.
const raceOptions = "halt_on_error=1 atexit_sleep_ms=100"

// waitTogether lets more tests run at a time than there are processors, unless
// -parallel says how many: they wait more than they compute, but for the sessions
// that they begin, each of which costs a server a process.
func waitTogether() error {
	const parallel, enough = "test.parallel", "3"
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == parallel })
	if given {
		return nil
	}
	return flag.Set(parallel, enough)
}
