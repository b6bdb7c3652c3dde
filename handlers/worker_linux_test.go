package handlers_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

func TestTheProgramDiesWithAKilledWorker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	worker := exec.Command(self)
	worker.Env = append(os.Environ(), workerVariable+"="+filepath.Join(dir, "program"))
	worker.Stderr = os.Stderr
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	program := writtenPID(t, dir, "program")
	worker.Process.Kill()
	worker.Wait()

	// The orphan is the tests' to reap, which tells how it ended.
	var status syscall.WaitStatus
	eventually(t, "the program is dead", func() bool {
		pid, err := syscall.Wait4(program, &status, syscall.WNOHANG, nil)
		return err == nil && pid == program
	})
	if !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Errorf("the program ended with status %#x, want it killed", status)
	}
}

// TestRunsLeaveNoDescriptor counts the process's own descriptors, so it does
// not run beside others.
func TestRunsLeaveNoDescriptor(t *testing.T) {
	good, _ := shell(t, `echo 1`, nil)
	gone := goneProgram(t)
	run := func() {
		if err := good.Handle(t.Context(), newJob(`{}`)); err != nil {
			t.Fatal(err)
		}
		if err := gone.Handle(t.Context(), newJob(`{}`)); err == nil {
			t.Fatal("a program that is gone ran")
		}
	}
	run() // the runtime opens a few for itself
	before := descriptors(t)
	for range 20 {
		run()
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before 40 runs, %d after", before, after)
	}
}

// descriptors counts the open files of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
