package initprocess

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Needed says whether this process becomes the parent of processes whose own
// parent has ended, and has to reap them: it is the first of its PID namespace, as
// in a container, or was made a subreaper (man 2 PR_SET_CHILD_SUBREAPER).
func Needed() bool {
	var subreaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0)
	return os.Getpid() == 1 || err == nil && subreaper != 0
}

// forwarded are the signals that Run passes on.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGCONT, syscall.SIGWINCH,
}

// Run runs this program once more, with the same arguments, passes signals on to
// it, reaps every child, and returns the program's exit code: 128 and the signal's
// number where one ended it. It is for a process that has started none.
//
// Only in a process that does nothing else can every child be reaped: elsewhere
// os/exec would find the children that it started gone.
func Run() (code int, err error) {
	program, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find this program: %w", err)
	}
	// What it starts need not read its environment, which is the program's.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("protect this process's memory: %w", err)
	}
	// The program is killed when the thread that started it ends, as it has to be
	// when this process is killed.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 64)
	for _, s := range forwarded {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)
	pid, err := syscall.ForkExec(program, os.Args, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2},
		// In a group of its own a terminal's signals reach it once, by way of this process.
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", program, err)
	}
	ended := make(chan int, 1)
	go func() { ended <- reapUntil(pid) }()
	for {
		select {
		case s := <-signals:
			_ = syscall.Kill(pid, s.(syscall.Signal)) // it may have ended
		case code := <-ended:
			return code, nil
		}
	}
}

// reapUntil reaps every child until one has ended, and returns its exit code.
func reapUntil(pid int) int {
	for {
		var status syscall.WaitStatus
		child, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err != nil || child != pid: // interrupted, or an orphan
		case status.Signaled():
			return 128 + int(status.Signal())
		default:
			return status.ExitStatus()
		}
	}
}
