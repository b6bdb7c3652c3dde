package demo

import (
	"os/exec"
	"syscall"
	"time"

	"github.com/understudy-worker/understudy/internal/process"
)

// startProcess starts a program of the demo's, which dies with it.
func startProcess(cmd *exec.Cmd) (*process.Process, error) {
	cmd.WaitDelay = time.Second
	return process.Start(cmd, syscall.SIGKILL)
}
