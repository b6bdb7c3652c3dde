//go:build cluster

package cluster

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// imageVariable names the image of the worker.
const imageVariable = "UNDERSTUDY_TEST_IMAGE"

// stepTimeout bounds how long a rollout may take for one step.
const stepTimeout = 3 * time.Minute

func TestMain(m *testing.M) {
	if err := check(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// check finds what is missing before any test does.
func check() error {
	if os.Getenv(imageVariable) == "" {
		return fmt.Errorf("%s is not set: name an image of the worker that the cluster has or can pull", imageVariable)
	}
	for _, ask := range []struct{ args, otherwise string }{
		{"version", "set KUBECONFIG to a cluster that answers"},
		{"get crd rollouts.argoproj.io", "install Argo Rollouts on the cluster"},
		{"argo rollouts version", "install kubectl's plugin argo rollouts (kubectl-argo-rollouts)"},
	} {
		if _, err := run(context.Background(), "", "kubectl", strings.Fields(ask.args)...); err != nil {
			return fmt.Errorf("%w: %s", err, ask.otherwise)
		}
	}
	return nil
}
