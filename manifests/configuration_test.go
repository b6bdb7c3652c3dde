package manifests

import (
	"os"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// configuration is what the rules need of the worker's. That the program takes
// it as it is, a test of the program says.
type configuration struct {
	Roles   map[string]string
	Targets map[string]struct {
		DSNFile        string `json:"dsn_file"`
		MigrateDSNFile string `json:"migrate_dsn_file"`
		DrainTimeout   string `json:"drain_timeout"`
	}
}

// configurationOf is the one that the Rollout mounts, on top of the defaults.
func configurationOf(t *testing.T, r rendering) (c configuration) {
	t.Helper()
	defaults, err := os.ReadFile("../reload/defaults.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, config := range of[core.ConfigMap](r) {
		if strings.HasPrefix(config.Name, prefix(r)+"worker-config-") {
			text = config.Data["worker.yaml"]
		}
	}
	for _, layer := range []string{string(defaults), text} {
		given := configuration{}
		if err := yaml.Unmarshal([]byte(layer), &given); err != nil {
			t.Fatal(err)
		}
		if given.Roles != nil { // replaced whole
			c.Roles = given.Roles
		}
		c.Targets = given.Targets
	}
	if len(c.Targets) == 0 {
		t.Fatal("the worker's configuration has no targets")
	}
	return c
}

// longestDrain is the longest drain_timeout of all targets.
func (c configuration) longestDrain(t *testing.T) (longest time.Duration) {
	t.Helper()
	for name, target := range c.Targets {
		drain, err := time.ParseDuration(target.DrainTimeout)
		if err != nil {
			t.Fatalf("targets.%s.drain_timeout has to be said, the Rollout depends on it: %v", name, err)
		}
		longest = max(longest, drain)
	}
	return longest
}
