package manifests

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// promtool is Prometheus' tool that checks rules, of this machine or as
// hack/install-tools.sh has got it.
func promtool(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs promtool, and -short is set")
	}
	if path, err := exec.LookPath("promtool"); err == nil {
		return path
	}
	path, err := filepath.Abs("../bin/promtool")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("there is no promtool: run hack/install-tools.sh test, or go test -short: %v", err)
	}
	return path
}

// mustPass runs promtool in a directory.
func mustPass(t *testing.T, dir string, arguments ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), promtool(t), arguments...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", arguments, err, out)
	}
}

// write writes a file of a test.
func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
