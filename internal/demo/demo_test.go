package demo

import (
	"context"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/pgtest"
)

// TestDemo runs the real program with real workers on a real Postgres.
func TestDemo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs a Postgres server and takes a while, and -short is set")
	}
	program := buildProgram(t)
	for name, test := range map[string]func(t *testing.T, program string){
		"promises hold through promote, undo, promote and a killed worker":  scriptHolds,
		"a guest on somebody else's server drops its own schemas only":      guestTidiesUp,
		"a schema that is there already is neither used nor dropped":        guestRefuses,
		"keys and buttons do what they say, and the input's end is the end": keysAndButtonsWork,
		"Ctrl-C ends all in order":                                          interruptEndsAll,
		"a script that is interrupted has failed":                           interruptedScriptFails,
		"its processes die with a demo that is killed":                      processesDieWithIt,
		"steps that cannot be done are wrong usage":                         impossibleScripts,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, program)
		})
	}
}

func scriptHolds(t *testing.T, program string) {
	out := startDemo(t, program, "--script", "promote,undo,promote,kill,quit").end(0)
	for _, want := range []string{
		"ok: 2.0 claimed its first production job", "ok: 1.0 claimed its first production job",
		"were rescued, and done", "ok: schema production: ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("nothing says %q in:\n%s", want, out)
		}
	}
}

// guestTidiesUp goes through the other steps: the undo comes after the
// scale-down, a third version replaces the second, and it is aborted.
func guestTidiesUp(t *testing.T, program string) {
	prefix := newPrefix(t)
	conn := pgtest.Conn(t)
	bystander := prefix + "preview_of_others"
	execute(t, conn, "CREATE SCHEMA "+bystander)
	defer execute(t, conn, "DROP SCHEMA "+bystander)
	out := startDemo(t, program, "--dsn", pgtest.DSN(t), "--schema-prefix", prefix, "--scale-down-delay", "1s",
		"--script", "promote,wait:1500ms,undo,new,new,abort,wait:1500ms,quit").end(0)
	if births := strings.Count(out, "1.0: a pod starts, without a role"); births != 1 {
		t.Errorf("after its scale-down 1.0 was born %d times without a role, want once:\n%s", births, out)
	}
	rows, err := conn.Query(context.Background(), "SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, $1)", prefix)
	if err != nil {
		t.Fatal(err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || left[0] != bystander {
		t.Errorf("schemas afterwards: %q, want %q alone", left, bystander)
	}
}

func guestRefuses(t *testing.T, program string) {
	prefix := newPrefix(t)
	conn := pgtest.Conn(t)
	execute(t, conn, "CREATE SCHEMA "+prefix+"production")
	defer execute(t, conn, "DROP SCHEMA "+prefix+"production") // fails if it is gone
	out := startDemo(t, program, "--dsn", pgtest.DSN(t), "--schema-prefix", prefix).end(1)
	if want := "choose other names with --schema-prefix"; !strings.Contains(out, want) {
		t.Errorf("nothing says %q in:\n%s", want, out)
	}
}

// newPrefix begins the names of schemas that are this test's alone.
func newPrefix(t *testing.T) string {
	name := pgtest.Schema(t)
	return "demo_" + name[len(name)-10:] + "_"
}

// guest are the flags for a run on the tests' server, which is there already.
func guest(t *testing.T) []string {
	return []string{"--dsn", pgtest.DSN(t), "--schema-prefix", newPrefix(t)}
}

func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

func keysAndButtonsWork(t *testing.T, program string) {
	r := startDemo(t, program, guest(t)...)
	r.until("keys: p promote")
	r.press("u\n?\n")
	r.until("undo: a version is in preview")
	r.until("'?' is no key here")
	page := r.tester()
	page.steps(map[string]string{"promote": "", "abort": "", "undo": "undo: a version is in preview", "new": "", "kill": ""})
	page.refused("undo", "undo: a version is in preview: abort or promote it first")
	page.visit()
	page.begun("promote")
	page.refused("new", "promote is under way: wait for its end")
	r.until("ok: 2.0 claimed its first production job")
	page.steps(map[string]string{"promote": "promote: nothing is in preview", "abort": "abort: nothing is in preview", "undo": "", "new": "", "kill": ""})
	page.roles(map[string]string{"1.0": "", "2.0": "active"})
	if preview := page.status().Sides[1]; preview.Problem == nil || preview.Problem.What != "No version is in preview." {
		t.Errorf("the preview's side: %+v", preview)
	}
	r.press("u")
	r.until("ok: 1.0 claimed its first production job")
	if err := r.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	out := r.end(0)
	if !strings.Contains(out, "each completed once") || !strings.Contains(out, "; and 3 from the tester's page") {
		t.Errorf("the end of the input skipped the last check:\n%s", out)
	}
	page.gone()
}

func interruptEndsAll(t *testing.T, program string) {
	r := startDemo(t, program)
	r.until("keys: p promote")
	r.signal(syscall.SIGINT)
	r.until("interrupted: ")
	r.signal(syscall.SIGINT) // an impatient second one
	r.end(0)
}

func interruptedScriptFails(t *testing.T, program string) {
	r := startDemo(t, program, append(guest(t), "--script", "wait:1h")...)
	r.until("> wait")
	page := r.tester()
	page.refused("promote", "a script is played, which takes no other steps")
	r.signal(syscall.SIGTERM)
	if out := r.end(1); !strings.Contains(out, errInterrupted.Error()) {
		t.Errorf("nothing says why:\n%s", out)
	}
	page.gone()
}

func processesDieWithIt(t *testing.T, program string) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has parent-death signals that Go can ask for")
	}
	r := startDemo(t, program, "--script", "wait:1h")
	r.until("> wait")
	if len(r.processes()) < 3 {
		t.Fatalf("processes: %q, want two workers and a server", r.processes())
	}
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); len(r.processes()) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("these outlive it:\n%s", strings.Join(r.processes(), "\n"))
		}
	}
}

func impossibleScripts(t *testing.T, program string) {
	for script, want := range map[string]string{
		"promote,promote": "step 2 cannot be done: promote: nothing is in preview",
		"dance":           `step "dance" is unknown`,
	} {
		out, err := exec.Command(program, "demo", "--script", script).CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 || len(lines) != 1 || !strings.Contains(lines[0], want) {
			t.Errorf("script %q: %v, printed %q; want exit code 2 and one line with %q", script, err, lines, want)
		}
	}
}
