package app

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// hideProcess keeps the programs that a worker starts from its environment and its
// memory, where its DSNs and tokens are. The kernel lets processes of the same
// user read both in /proc, and attach to each other, unless one says that it must
// not be dumped (ptrace(2)). Root may all the same, with CAP_SYS_PTRACE: for that
// the environment is wiped too, of which Go has a copy. Wiping comes first: what
// is not dumpable cannot open its own memory.
func hideProcess() error {
	wiped := wipeEnvironment()
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return errors.Join(wiped, fmt.Errorf("prctl(PR_SET_DUMPABLE): %w", err))
	}
	return wiped
}

// wipeEnvironment overwrites what /proc/PID/environ shows.
func wipeEnvironment() error {
	start, end, err := environmentAt()
	if err != nil {
		return err
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = memory.WriteAt(make([]byte, end-start), start)
	return errors.Join(err, memory.Close())
}

// environmentAt is where the process's first environment lies: fields 50 and 51 of
// /proc/self/stat (proc_pid_stat(5)).
func environmentAt() (start, end int64, err error) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0, err
	}
	const first, at = 3, 50 // the first field behind the name, which may hold spaces
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= at+1-first {
		return 0, 0, errors.New("/proc/self/stat does not say where the environment is")
	}
	start, startErr := strconv.ParseInt(string(fields[at-first]), 10, 64)
	end, endErr := strconv.ParseInt(string(fields[at+1-first]), 10, 64)
	if startErr != nil || endErr != nil || start <= 0 || end < start || end-start > maxEnvironment {
		return 0, 0, errors.New("/proc/self/stat does not say where the environment is")
	}
	return start, end, nil
}

// maxEnvironment is more than any system lets an environment have.
const maxEnvironment = 64 << 20
