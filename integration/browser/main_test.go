package browser_test

import (
	"os"
	"testing"

	"github.com/understudy-worker/understudy/app"
	"github.com/understudy-worker/understudy/internal/pgtest"
)

// programVariable makes the test binary be the program itself.
const programVariable = "BROWSER_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		app.Main(app.Options{})
	}
	pgtest.Main(m)
}
