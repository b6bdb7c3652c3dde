package reload

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLastGoodViewCountsForTheGrace(t *testing.T) {
	t.Parallel()
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	broken := errors.New("garbled")
	m := memory{grace: 30 * time.Second}
	expect := func(s float64, role string, unreadable bool, turns float64) {
		t.Helper()
		v := m.view(at(s))
		if v.role != role || (v.unreadable != nil) != unreadable {
			t.Errorf("at %v s: role %q, unreadable %v; want %q, %v", s, v.role, v.unreadable, role, unreadable)
		}
		want := time.Time{}
		if turns > 0 {
			want = at(turns)
		}
		if got := m.turns(at(s)); !got.Equal(want) {
			t.Errorf("at %v s: turns %v after the start, want %v", s, got.Sub(start), turns)
		}
	}
	m.observe(at(0), view{}, broken)
	expect(0, "", false, 30) // never read: idle, and not yet unreadable
	expect(30, "", true, 0)
	m.observe(at(31), view{role: "active"}, nil)
	expect(31, "active", false, 0)
	m.observe(at(40), view{}, broken)
	m.observe(at(60), view{}, broken) // a later failure does not prolong the grace
	expect(69.9, "active", false, 70)
	expect(70, "", true, 0)
	m.observe(at(71), view{}, nil) // a clean read without a role is a demotion, at once
	expect(71, "", false, 0)
	if m.err != nil || !m.readAt.Equal(at(71)) {
		t.Errorf("err %v, read at %v", m.err, m.readAt.Sub(start))
	}
}

func TestSnapshotSaysWhatARoleAsksFor(t *testing.T) {
	t.Parallel()
	cfg := load(t, `
targets:
  production: {dsn: "postgres://p", drain_timeout: 7s}
  preview: {dsn_file: /secrets/dsn, schema: "preview_{rollouts-pod-template-hash}", migrate_dsn: "postgres://m"}
`)
	dsn := func(text string, err error) func(string) (Secret, error) {
		return func(file string) (Secret, error) {
			if file != "/secrets/dsn" {
				t.Errorf("read %q", file)
			}
			return Secret(text), err
		}
	}
	good, none := dsn("postgres://v", nil), dsn("", errors.New(`dsn_file "/secrets/dsn": gone`))
	hash := map[string]string{"rollouts-pod-template-hash": "6d4f9"}
	production := Target{Name: "production", DSN: "postgres://p", Schema: "production", Migrations: "verify", DrainTimeout: 7 * time.Second, Pooler: "none"}
	preview := Target{Name: "preview", DSN: "postgres://v", DSNFile: "/secrets/dsn", MigrateDSN: "postgres://m", Schema: "preview_6d4f9", Migrations: "apply", DrainTimeout: 5 * time.Second, Pooler: "none"}
	for name, c := range map[string]struct {
		view view
		dsn  func(string) (Secret, error)
		want Snapshot
	}{
		"active":  {view{role: "active"}, good, Snapshot{Role: "active", Target: production}},
		"canary":  {view{role: "canary", labels: hash}, good, Snapshot{Role: "canary", Target: preview, TemplateHash: "6d4f9"}},
		"no role": {view{labels: hash}, good, Snapshot{TemplateHash: "6d4f9"}},
		"unmapped": {view{role: "nope"}, good, Snapshot{Role: "nope",
			Problem: `role "nope" maps to no target: add it to roles, or use one of active, canary, preview, stable`}},
		"label missing": {view{role: "preview"}, good, Snapshot{Role: "preview",
			Target:  Target{Name: "preview"},
			Problem: `role "preview" has no target: target "preview": schema "preview_{rollouts-pod-template-hash}" needs the pod's label "rollouts-pod-template-hash", which is missing or empty`}},
		"DSN missing": {view{role: "preview", labels: hash}, none, Snapshot{Role: "preview", TemplateHash: "6d4f9",
			Target:  Target{Name: "preview"},
			Problem: `role "preview" has no target: target "preview": dsn_file "/secrets/dsn": gone`}},
		"unreadable": {view{unreadable: errors.New("garbled")}, good, Snapshot{Unreadable: true, Problem: "garbled"}},
	} {
		if diff := cmp.Diff(c.want, cfg.snapshot(c.view, c.dsn)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestReadTargetReadsItAsItStands(t *testing.T) {
	t.Parallel()
	file := writeFile(t, t.TempDir()+"/dsn", "postgres://app:hunter2@db/x\n")
	v, _ := volume(t, map[string]string{"rollouts-pod-template-hash": "6d4f9"})
	cfg, err := Load(Source{Target: "eu", Environ: []string{
		"UNDERSTUDY_PODINFO__DIR=" + v.Dir(), "UNDERSTUDY_TARGETS__EU__DSN_FILE=" + file, "UNDERSTUDY_TARGETS__EU__SCHEMA=eu_{rollouts-pod-template-hash}",
	}})
	if err != nil {
		t.Fatal(err)
	}
	labels, err := ReadLabels(cfg)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadTarget(cfg, "eu", labels)
	want := Target{Name: "eu", DSN: "postgres://app:hunter2@db/x", DSNFile: file, Schema: "eu_6d4f9", Migrations: MigrationsVerify, DrainTimeout: 20 * time.Second, Pooler: PoolerNone}
	if err != nil || got != want {
		t.Errorf("ReadTarget = %+v, %v; want %+v", got, err, want)
	}
	for name, want := range map[string]string{
		"us":         `target "us" is not configured: use one of eu, preview, production`,
		"production": `target "production" has no DSN: set targets.production.dsn or targets.production.dsn_file`,
	} {
		if _, err := ReadTarget(cfg, name, labels); err == nil || err.Error() != want {
			t.Errorf("ReadTarget(%q) = %v, want %s", name, err, want)
		}
	}
	if _, err := ReadTarget(cfg, "eu", nil); err == nil || !strings.Contains(err.Error(), "needs the pod's label") {
		t.Errorf("without labels: %v", err)
	}
}

func TestMigrationsHaveADSNOfTheirOwnOrTheTargets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(dsn string) { writeFile(t, dir+"/dsn", dsn) }
	write("postgres://m:hunter2@db/x\n")
	for name, c := range map[string]struct {
		target Target
		dsn    Secret
		key    string
	}{
		"none":              {Target{DSN: "postgres://w"}, "postgres://w", "targets.eu.dsn"},
		"none, DSN of file": {Target{DSN: "postgres://w", DSNFile: "/secrets/dsn"}, "postgres://w", "targets.eu.dsn_file"},
		"in the key":        {Target{DSN: "postgres://w", MigrateDSN: "postgres://m"}, "postgres://m", "targets.eu.migrate_dsn"},
		"in a file":         {Target{DSN: "postgres://w", MigrateDSNFile: dir + "/dsn"}, "postgres://m:hunter2@db/x", "targets.eu.migrate_dsn_file"},
	} {
		c.target.Name = "eu"
		if dsn, key, err := c.target.MigrationDSN(); dsn != c.dsn || key != c.key || err != nil {
			t.Errorf("%s: %q of %s, %v", name, dsn.Reveal(), key, err)
		}
	}
	target := Target{Name: "eu", MigrateDSNFile: dir + "/dsn"}
	write("postgres://m:hunter3@db/x") // read when it is asked for
	if dsn, _, err := target.MigrationDSN(); dsn != "postgres://m:hunter3@db/x" {
		t.Errorf("a new one in the file: %q, %v", dsn.Reveal(), err)
	}
	write("hunter2")
	want := `targets.eu.migrate_dsn_file "` + dir + `/dsn": its content is not a Postgres DSN, such as postgres://login:password@host:5432/database`
	if _, _, err := target.MigrationDSN(); err == nil || err.Error() != want {
		t.Errorf("nonsense in the file: %v, want %s", err, want)
	}
	target.MigrateDSNFile = dir + "/nowhere"
	want = `targets.eu.migrate_dsn_file "` + dir + `/nowhere": no such file or directory: see that the Secret is mounted there, and has a key of that name`
	if _, _, err := target.MigrationDSN(); err == nil || err.Error() != want {
		t.Errorf("no file: %v, want %s", err, want)
	}
}

func TestWhoOnlyMigratesNeedsNoDSNBesideThatForMigrations(t *testing.T) {
	t.Parallel()
	file := writeFile(t, t.TempDir()+"/dsn", "postgres://m")
	const missing = "targets: {production: {dsn_file: /nowhere/dsn}}\npodinfo: {role: active}\n"
	for name, given := range map[string]string{
		"in the key": "UNDERSTUDY_TARGETS__PRODUCTION__MIGRATE_DSN=postgres://m",
		"in a file":  "UNDERSTUDY_TARGETS__PRODUCTION__MIGRATE_DSN_FILE=" + file,
	} {
		cfg := load(t, missing, given)
		target, err := ReadTargetToMigrate(cfg, "production", nil)
		if dsn, _, dsnErr := target.MigrationDSN(); err != nil || dsnErr != nil || dsn != "postgres://m" || target.Schema != "production" {
			t.Errorf("%s: %+v with %q, %v, %v", name, target, dsn.Reveal(), err, dsnErr)
		}
		if _, err := ReadTarget(cfg, "production", nil); err == nil {
			t.Errorf("%s: who works jobs could do without a DSN", name)
		}
	}
	if _, err := ReadTargetToMigrate(load(t, missing), "production", nil); err == nil || !strings.Contains(err.Error(), `dsn_file "/nowhere/dsn"`) {
		t.Errorf("without one for migrations: %v", err)
	}
}

func TestDSNFileHoldsOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for content, want := range map[string]string{
		"postgres://app:hunter2@db/x":         "",
		"postgres://app:hunter2@db/x\n":       "",
		"postgresql://app:hunter2@db/x\r\n":   "",
		"host=db password=hunter2":            "",
		"":                                    "is empty",
		"\n":                                  "is empty",
		"hunter2":                             "its content is not a Postgres DSN",
		"mysql://app:hunter2@db/x":            "its content is not a Postgres DSN",
		"postgres://a\npostgres://b:hunter2@": "its content holds more than one line",
	} {
		got, err := readDSN(writeFile(t, dir+"/dsn", content))
		if want == "" && (err != nil || got.Reveal() != strings.TrimRight(content, "\r\n")) {
			t.Errorf("%q = %q, %v", content, got.Reveal(), err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q: %v, want an error with %q", content, err, want)
		}
	}
}
