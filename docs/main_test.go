// Package docs_test tries what the documents say.
package docs_test

import (
	"testing"

	"github.com/understudy-worker/understudy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
