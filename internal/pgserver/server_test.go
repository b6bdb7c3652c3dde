package pgserver

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestStopLeavesNoProcessAndNoDirectory(t *testing.T) {
	t.Parallel()
	parent := openDir(t)
	server := start(t, Options{Dir: parent})
	conn := connect(t, server)
	backend := query[int](t, conn, "SELECT pg_backend_pid()")
	postmaster := server.process.PID()

	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	// The postmaster reaps its children before it ends, and we reap it.
	for _, pid := range []int{backend, postmaster} {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d after the stop: %v, want %v", pid, err, syscall.ESRCH)
		}
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
	if err := server.Stop(); err != nil {
		t.Errorf("a second Stop: %v, want no error", err)
	}
	if err := server.Resume(t.Context()); err == nil {
		t.Error("Resume after Stop gave no error")
	}
}

func TestCommitsAreDurableByDefault(t *testing.T) {
	t.Parallel()
	conn := connect(t, start(t, Options{}))
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if value := query[string](t, conn, "SHOW "+setting); value != "on" {
			t.Errorf("%s = %q, want on", setting, value)
		}
	}
}

func TestSettingsReplaceTheDefaults(t *testing.T) {
	t.Parallel()
	want := `it's a \ "test"`
	conn := connect(t, start(t, Options{Settings: map[string]string{
		"shared_buffers": "16MB", "max_connections": "17", "understudy.test": want,
	}}))
	if got := query[string](t, conn, "SHOW max_connections"); got != "17" {
		t.Errorf("max_connections = %q, want 17", got)
	}
	if got := query[string](t, conn, "SHOW understudy.test"); got != want {
		t.Errorf("understudy.test = %q, want %q", got, want)
	}
}

func TestRestartKeepsDataAndDSN(t *testing.T) {
	t.Parallel()
	server := start(t, Options{})
	dsn := server.DSN("postgres")
	mustExec(t, connect(t, server), "CREATE TABLE things (id int)")
	for i, immediate := range []bool{false, true} {
		conn := connect(t, server)
		mustExec(t, conn, "INSERT INTO things VALUES (1)")
		if err := server.Restart(t.Context(), immediate); err != nil {
			t.Fatal(err)
		}
		if conn.Ping(t.Context()) == nil {
			t.Errorf("a session outlived a restart with immediate=%v", immediate)
		}
		if got := query[int](t, connect(t, server), "SELECT count(*)::int FROM things"); got != i+1 {
			t.Errorf("%d rows after a restart with immediate=%v, want %d", got, immediate, i+1)
		}
	}
	if got := server.DSN("postgres"); got != dsn {
		t.Error("the DSN changed with a restart")
	}
}

func TestHaltedServerTakesNoConnectionsUntilResumed(t *testing.T) {
	t.Parallel()
	server := start(t, Options{})
	if err := server.Halt(true); err != nil {
		t.Fatal(err)
	}
	if listening(t, server.DSN("postgres")) {
		t.Error("a halted server takes connections")
	}
	if err := server.Signal(syscall.SIGHUP); err == nil {
		t.Error("a signal to a halted server gave no error")
	}
	if err := server.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	connect(t, server)
}

func TestCrashedServerIsResumed(t *testing.T) {
	t.Parallel()
	server := start(t, Options{})
	if err := server.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-server.process.Done()
	eventually(t, "the orphaned backends let a new server start", func() bool {
		return server.Resume(t.Context()) == nil
	})
	connect(t, server)
}

func TestPasswordIsAskedFor(t *testing.T) {
	t.Parallel()
	server := start(t, Options{})
	config, err := pgx.ParseConfig(server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	config.Password = "wrong"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err == nil {
		_ = conn.Close(t.Context())
		t.Error("a wrong password was let in")
	}
}

func TestKilledParentLeavesNoServer(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a server whose parent was killed")
	}
	needServer(t)
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := openDir(t)
	parent := exec.Command(program)
	parent.Env = append(os.Environ(), parentVariable+"="+dir)
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	dsn := strings.TrimSpace(line)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		_ = parent.Process.Kill()
		t.Fatalf("the parent printed no working DSN: %v", err)
	}

	_ = parent.Process.Kill()
	_ = parent.Wait()
	eventually(t, "the session ends", func() bool { return conn.Ping(t.Context()) != nil })
	_ = conn.Close(t.Context())
	eventually(t, "the port is free", func() bool { return !listening(t, dsn) })
	eventually(t, "the next start sweeps the directory", func() bool {
		sweep(dir)
		left, err := os.ReadDir(dir)
		return err == nil && len(left) == 0
	})
}
