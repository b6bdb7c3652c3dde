package app_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-worker/understudy/internal/kubelet"
	"github.com/understudy-worker/understudy/store"
)

func TestACommandNeedsTheDSNOfItsOwnTargetOnly(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.environ = s.environ[:2] // production's
	s.ok("jobs", "list")
	s.fails(2, []string{"targets.preview.dsn"}, "jobs", "list", "--target=preview")
}

func TestACommandLineThatCannotBeMeantIsExitCode2(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	for want, args := range map[string]string{
		"use one of preview, production":         "jobs list --target nowhere",
		"--target is empty":                      "jobs list --target=",
		"is not a plain name":                    "jobs list --schema Nope",
		`schema "a_{b}" is not a plain name`:     "jobs list --schema a_{b}",
		"write key=value":                        "jobs list --label x",
		"targets.production.dsn":                 "jobs list --targets.production.dsn=nonsense",
		"targets.production.dsn cannot":          "jobs list --targets.production.dsn=postgres://a:top%zzsecret@h/d",
		"dsn_file":                               "jobs list --targets.production.dsn= --targets.production.dsn_file=/nowhere/dsn",
		"status, up":                             "migrate",
		`unknown command "down"`:                 "migrate down",
		"cancel, counts, list, retry, show":      "jobs",
		"unknown flag: --nope":                   "workers --nope",
		"use table or json":                      "workers -o xml",
		"use text or json":                       "enqueue echo -o xml",
		"--limit 0":                              "workers --limit 0",
		"accepts between 1 and 2 arg(s)":         "enqueue",
		`unknown job state "done"`:               "jobs list --state done",
		"--limit -1":                             "jobs list --limit -1",
		"--before -1":                            "jobs list --before -1",
		`"x" is not the id of a job`:             "jobs show x",
		`"0" is not the id of a job`:             "jobs cancel 0",
		"requires at least 1 arg(s)":             "jobs retry",
		"--timeout 0s":                           "smoke --timeout 0s",
		"smoke --help":                           "smoke extra",
		"targets.production.app_migrations":      "migrate up --targets.production.app_migrations=/nowhere/at/all",
		"targets.production.migrate_dsn":         "migrate up --targets.production.pooler=transaction",
		"with %XX for special characters":        "jobs list --targets.production.dsn=postgres://a:top%zzsecret@h/d",
		"targets.production.migrate_dsn cannot":  "migrate status --targets.production.migrate_dsn=postgres://a:top%zzsecret@h/d",
		"/nowhere/at/all.yaml":                   "jobs list --config /nowhere/at/all.yaml",
		"worker.lease = \"soon\"":                "jobs list --worker.lease soon",
		"--max-attempts 0":                       "smoke --max-attempts 0",
		"--count 0":                              "smoke --count 0",
		"--args is not JSON: invalid character ": "smoke --args nope",
	} {
		s.fails(2, []string{want}, strings.Split(args, " ")...)
		if r := s.run(strings.Split(args, " ")...); strings.Contains(r.err, "secret") {
			t.Errorf("%s: error shows the DSN: %s", args, r.err)
		}
	}
}

func TestASchemaThatIsNotMigratedSaysHowToMigrateIt(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	advice := "understudy migrate up --target production --schema " + s.production
	for _, args := range []string{
		"jobs list", "jobs show 1", "jobs retry 1", "jobs cancel 1 2", "jobs counts", "workers", "enqueue echo", "enqueue echo --scheduled-at 1m",
	} {
		s.fails(1, []string{s.production, advice}, strings.Split(args, " ")...)
	}
	s.in = "{}\n"
	s.fails(1, []string{advice}, "enqueue", "echo", "-")
	s.run(strings.Split(advice, " ")[1:]...)
	s.ok("jobs", "list")
}

func TestAServerThatCannotBeReachedIsOneLineWithoutThePassword(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	s.password = "topsecret"
	s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PRODUCTION__DSN=postgres://app:topsecret@127.0.0.1:"+port+"/jobs")
	want := []string{`connect to target "production"`, "127.0.0.1:" + port, "check that its server is up and that targets.production.dsn is right"}
	for _, args := range []string{"jobs list", "workers", "enqueue echo", "migrate up", "migrate status", "smoke --target production --timeout 1ns"} {
		s.fails(1, want, strings.Split(args, " ")...)
	}
	if r := s.run("jobs", "list"); strings.Count(r.err, "refused") != 1 { // it was tried with and without TLS
		t.Errorf("the error says it more than once: %s", r.err)
	}
	file := writeFile(t, "postgres://app:topsecret@127.0.0.1:"+port+"/jobs\n")
	s.fails(1, []string{"targets.production.dsn_file is right"}, "jobs", "list", "--targets.production.dsn=", "--targets.production.dsn_file="+file)
	s.fails(1, []string{"targets.production.migrate_dsn_file is right"}, "migrate", "up", "--targets.production.migrate_dsn_file="+file)
	s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PRODUCTION__MIGRATE_DSN=postgres://app:topsecret@127.0.0.1:"+port+"/jobs")
	s.fails(1, []string{"targets.production.migrate_dsn is right"}, "migrate", "up")
}

// writeFile writes a file of the test's own.
func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMigrationsTakeTheirDSNFromAFileAndNeedNoOther(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	file := writeFile(t, s.dsn+"\n")
	s.environ = []string{
		"UNDERSTUDY_TARGETS__PRODUCTION__DSN_FILE=/nowhere/dsn", "UNDERSTUDY_TARGETS__PRODUCTION__SCHEMA=" + s.production,
		"UNDERSTUDY_TARGETS__PRODUCTION__MIGRATE_DSN_FILE=" + file,
	}
	s.ok("migrate", "up")
	s.ok("migrate", "status")
	s.fails(2, []string{`dsn_file "/nowhere/dsn"`}, "jobs", "list")
	s.fails(2, []string{`targets.production.migrate_dsn_file "/nowhere/owner": no such file`, "see that the Secret is mounted there"},
		"migrate", "up", "--targets.production.migrate_dsn_file=/nowhere/owner")
	s.fails(2, []string{"targets.production.migrate_dsn_file", "stands beside targets.production.migrate_dsn: set one of the two"},
		"migrate", "up", "--targets.production.migrate_dsn="+s.dsn)
}

func TestARefusedLoginIsOneLineWithoutThePassword(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	config := s.pool.Config().ConnConfig
	address := net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PRODUCTION__DSN=postgres://nobody_at_all:topsecret@"+address+"/postgres")
	s.password = "topsecret"
	s.fails(1, []string{`connect to target "production"`, "28"}, "jobs", "list")
}

func TestALoginWithoutTheRightIsToldSo(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	login := s.production // as unique a name as any
	s.exec("CREATE ROLE " + quoted(login) + " LOGIN PASSWORD 'topsecret'")
	t.Cleanup(func() {
		if _, err := s.pool.Exec(context.Background(), "DROP ROLE "+quoted(login)); err != nil {
			t.Error(err)
		}
	})
	config := s.pool.Config().ConnConfig
	address := net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PRODUCTION__DSN=postgres://"+login+":topsecret@"+address+"/"+config.Database)
	s.password = "topsecret"
	s.fails(1, []string{"permission denied", "grant it, or use another login"}, "jobs", "list")
}

func TestASchemaTemplateIsFilledInOrItsLabelsAskedFor(t *testing.T) {
	t.Parallel()
	s := migratedShell(t, "preview")
	cut := strings.LastIndex(s.preview, "_") + 1
	prefix, hash := s.preview[:cut], s.preview[cut:]
	s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PREVIEW__SCHEMA="+prefix+"{rollouts-pod-template-hash}",
		"UNDERSTUDY_PODINFO__DIR="+t.TempDir())
	want := s.enqueue("echo", "--target=preview", "--template-hash="+hash)
	check := func(args ...string) {
		t.Helper()
		got := s.jobs(append(args, "--target=preview")...)
		if len(got) != 1 || got[0].ID != want[0] {
			t.Errorf("%q: jobs %+v, want job %d", args, got, want[0])
		}
	}
	check("--label=rollouts-pod-template-hash=" + hash)
	check("--schema=" + s.preview)
	s.fails(2, []string{"rollouts-pod-template-hash", "pass --template-hash HASH, --label key=value, or --schema NAME"}, "jobs", "list", "--target=preview")
	s.fails(2, []string{"becomes", "not a plain name", "--schema NAME"}, "jobs", "list", "--target=preview", "--template-hash=A-B")

	pod := kubelet.New(filepath.Join(t.TempDir(), "podinfo"))
	if err := pod.Write(map[string]string{"labels": kubelet.Labels(map[string]string{"rollouts-pod-template-hash": hash})}); err != nil {
		t.Fatal(err)
	}
	s.environ = append(s.environ, "UNDERSTUDY_PODINFO__DIR="+pod.Dir())
	check()
	s.fails(1, []string{prefix + "other"}, "jobs", "list", "--target=preview", "--template-hash=other")
}

func TestAnotherSchemaOfTheTargetIsNamedByAFlag(t *testing.T) {
	t.Parallel()
	s := migratedShell(t, "production", "preview")
	s.enqueue("echo", "--target=preview")
	if got := s.jobs("--schema", s.preview); len(got) != 1 {
		t.Errorf("%d jobs in preview's schema, want 1", len(got))
	}
	if got := s.jobs(); len(got) != 0 {
		t.Errorf("%d jobs in production's schema, want none", len(got))
	}
}

func TestCommandsPassATransactionPooler(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PRODUCTION__POOLER=transaction")
	s.in = "{\"a\": 1}\n{\"a\": 2}\n"
	ids := append(s.enqueue("echo", `{"b": 1}`, "--scheduled-at=1h", "--unique-key=k", "--priority=2"), s.enqueue("echo", "-")...)
	if got := s.jobs("--state=available", "--kind=echo", "--queue=default", "--before=1000000"); len(got) != 2 {
		t.Errorf("%d jobs are available, want 2", len(got))
	}
	s.ok("jobs", "show", strconv.FormatInt(ids[0], 10))
	s.ok("jobs", "counts")
	s.ok("workers")
	s.ok("workers", "--live")
	s.ok("jobs", "cancel", strconv.FormatInt(ids[0], 10))
	s.ok("jobs", "retry", strconv.FormatInt(ids[0], 10))
	s.fails(1, []string{"smoke: 0 of 2 jobs"}, "smoke", "--target=production", "--timeout=5s", "--count=2", "-o=json")
}

func TestTimesAreInUTC(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PRODUCTION__DSN="+withParameter(s.dsn, "timezone", "Asia/Tokyo"))
	id := s.enqueue("echo", "--scheduled-at=2030-01-31T12:00:00+09:00")[0]
	s.exec(`UPDATE {production}.open_jobs SET past_attempts = '[{"number": 1, "worker": "w", "version": "1", "role": "active",
		"started_at": "2030-01-31T12:00:00+09:00", "finished_at": "2030-01-31T12:00:01+09:00", "error": "x"}]'`)
	out := s.ok("jobs", "show", strconv.FormatInt(id, 10), "-o=json")
	if !strings.Contains(out, `"scheduled_at": "2030-01-31T03:00:00Z"`) || strings.Contains(out, "+09:00") {
		t.Errorf("times are not in UTC: %s", out)
	}
	var row store.JobRow
	decodeInto(t, out, &row)
	if len(row.Attempts) != 1 || row.Attempts[0].StartedAt == nil || row.Attempts[0].StartedAt.Hour() != 3 {
		t.Fatalf("attempts %+v", row.Attempts)
	}
	if !strings.Contains(s.ok("jobs", "list"), "2030-01-31T03:00:00Z") {
		t.Error("the list does not show the time in UTC")
	}
}

func TestAnInterruptedCommandSaysSo(t *testing.T) {
	t.Parallel()
	s := migratedShell(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupted by a test"))
	r := s.runWith(ctx, nil, "jobs", "list")
	if r.code != 1 || r.err != "understudy: interrupted by a test\n" {
		t.Errorf("exit code %d with %q", r.code, r.err)
	}
}
