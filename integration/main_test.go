package integration_test

import (
	"testing"

	"github.com/understudy-worker/understudy/integration/internal/container"
)

func TestMain(m *testing.M) { container.Main(suite{m}) }

// suite is these tests and the programs that they build.
type suite struct{ *testing.M }

func (s suite) Run() int {
	defer programs.remove()
	return s.M.Run()
}
