package app_test

import (
	"os"
	"testing"

	"github.com/understudy-worker/understudy/app"
	"github.com/understudy-worker/understudy/internal/pgtest"
)

// programVariable makes the test binary be the program itself, with the
// handlers of these tests, so that processes can be killed and frozen.
const programVariable = "UNDERSTUDY_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		adoptOrphans()
		app.Main(app.Options{Handlers: ledgerHandlers})
	}
	pgtest.Main(m)
}
