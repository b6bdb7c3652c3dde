package reload

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// expected is the default configuration with the DSNs of the constant dsns, changed.
func expected(change func(*Config)) Config {
	c := Config{
		Podinfo: Podinfo{Dir: "/etc/podinfo", RoleLabel: "role", Grace: 30 * time.Second},
		Roles:   map[string]string{"active": "production", "stable": "production", "preview": "preview", "canary": "preview"},
		Targets: map[string]TargetConfig{
			"production": {DSN: "postgres://app:production-pass@db/x", Schema: "production", Migrations: "verify", DrainTimeout: 20 * time.Second, Pooler: "none"},
			"preview":    {DSN: "postgres://app:preview-pass@db/x", Schema: "preview", Migrations: "apply", DrainTimeout: 5 * time.Second, Pooler: "none"},
		},
		Queues:   map[string]Queue{"default": {Concurrency: 50}},
		Worker:   Worker{PollInterval: time.Second, Lease: 30 * time.Second, Retention: 24 * time.Hour, MaxLosses: 5, MaxBytes: 16 << 20},
		Handlers: map[string]map[string]any{},
		HTTP:     HTTP{Addr: ":8080", Hosts: []string{}, ReadyRequires: []string{"production"}},
		Log:      Log{Level: "info", Format: "json"},
	}
	change(&c)
	return c
}

func (c *Config) change(target string, change func(*TargetConfig)) {
	t := c.Targets[target]
	change(&t)
	c.Targets[target] = t
}

// flags are parsed arguments.
func flags(t testing.TB, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("understudy", pflag.ContinueOnError)
	Flags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestEachLayerGoesOverTheOneBelow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		yaml    string
		environ []string
		args    []string
		want    func(*Config)
	}{
		"defaults": {yaml: dsns, want: func(*Config) {}},
		"file over defaults": {yaml: dsns + "worker: {lease: 1s, max_losses: 7}\nversion: '1.10'", want: func(c *Config) {
			c.Version, c.Worker.Lease, c.Worker.MaxLosses = "1.10", time.Second, 7
		}},
		"environment over file": {yaml: dsns + "worker: {lease: 2s, poll_interval: 3s}", environ: []string{"UNDERSTUDY_WORKER__LEASE=4s"}, want: func(c *Config) {
			c.Worker.Lease, c.Worker.PollInterval = 4*time.Second, 3*time.Second
		}},
		"flags over environment": {yaml: dsns, environ: []string{"UNDERSTUDY_WORKER__LEASE=4s", "UNDERSTUDY_LOG__LEVEL=warn"}, args: []string{"--worker.lease", "5s"}, want: func(c *Config) {
			c.Worker.Lease, c.Log.Level = 5*time.Second, "warn"
		}},
		"every type by flag": {yaml: dsns, args: []string{"--http.read_only", "--worker.max_losses=3", "--http.ready_requires=preview, production", "--http.addr="}, want: func(c *Config) {
			c.HTTP = HTTP{ReadOnly: true, Hosts: []string{}, ReadyRequires: []string{"preview", "production"}}
			c.Worker.MaxLosses = 3
		}},
		"every type by variable": {yaml: dsns, environ: []string{"UNDERSTUDY_HTTP__READ_ONLY=true", "UNDERSTUDY_WORKER__MAX_LOSSES=3", "UNDERSTUDY_HTTP__READY_REQUIRES=", "UNDERSTUDY_HTTP__ADDR=127.0.0.1:0"}, want: func(c *Config) {
			c.HTTP = HTTP{ReadOnly: true, Hosts: []string{}, ReadyRequires: []string{}, Addr: "127.0.0.1:0"}
			c.Worker.MaxLosses = 3
		}},
		"given roles replace the default whole": {yaml: dsns + "roles: {blue: production}", want: func(c *Config) {
			c.Roles = map[string]string{"blue": "production"}
		}},
		"roles by variable too": {yaml: dsns + "roles: {blue: production}", environ: []string{"UNDERSTUDY_ROLES={green: preview}"}, want: func(c *Config) {
			c.Roles = map[string]string{"green": "preview"}
		}},
		"one role more": {yaml: dsns, environ: []string{"UNDERSTUDY_ROLES__CANARY=production"}, args: []string{"--roles.v1.2=preview"}, want: func(c *Config) {
			c.Roles["canary"], c.Roles["v1.2"] = "production", "preview"
		}},
		"given queues replace the default whole": {yaml: dsns + "queues: {mail: {concurrency: 2}}", args: []string{"--queues.a.b.concurrency=3"}, want: func(c *Config) {
			c.Queues = map[string]Queue{"mail": {2}, "a.b": {3}}
		}},
		"one queue more": {yaml: dsns, environ: []string{"UNDERSTUDY_QUEUES__MAIL__CONCURRENCY=2"}, want: func(c *Config) {
			c.Queues["mail"] = Queue{2}
		}},
		"a part of a target keeps the rest": {yaml: dsns, args: []string{"--targets.preview.drain_timeout=1s", "--targets.preview.schema=preview_{rollouts-pod-template-hash}"}, want: func(c *Config) {
			c.change("preview", func(t *TargetConfig) {
				t.DrainTimeout, t.Schema = time.Second, "preview_{rollouts-pod-template-hash}"
			})
		}},
		"another target has the defaults of others": {yaml: dsns + "roles: {active: eu-1}", environ: []string{"UNDERSTUDY_TARGETS={eu-1: {schema: eu}}"}, args: []string{"--targets.eu-1.dsn=postgres://eu"}, want: func(c *Config) {
			c.Roles = map[string]string{"active": "eu-1"}
			c.Targets["eu-1"] = TargetConfig{DSN: "postgres://eu", Schema: "eu", Migrations: "verify", DrainTimeout: 20 * time.Second, Pooler: "none"}
		}},
		"handlers": {yaml: dsns + "handlers: {mail.send: {type: exec, command: [mail, -s], headers: {x: 1}}}",
			environ: []string{"UNDERSTUDY_HANDLERS__PING__TYPE=http", "UNDERSTUDY_HANDLERS__PING__URL=http://x/#y", "UNDERSTUDY_HANDLERS__PING__CODES=[200, '201']", "UNDERSTUDY_HANDLERS__PING__HEADERS__A=b", "UNDERSTUDY_HANDLERS__PING__RETRIES=3"},
			args:    []string{"--handlers.mail.send.dir=/tmp", "--handlers={aB: {type: echo}}"},
			want: func(c *Config) {
				c.Handlers = map[string]map[string]any{
					"mail.send": {"type": "exec", "command": []any{"mail", "-s"}, "headers": map[string]any{"x": 1}, "dir": "/tmp"},
					"ping":      {"type": "http", "url": "http://x/#y", "codes": []any{200, "201"}, "headers": map[string]any{"a": "b"}, "retries": 3},
					"aB":        {"type": "echo"},
				}
			}},
		"keys without a value are not given": {yaml: dsns + "version:\nroles:\nworker: {lease: }\nhttp:\nhandlers:", want: func(*Config) {}},
		"version by APP_VERSION":             {yaml: dsns + "version: ''", environ: []string{"APP_VERSION=3.2", "OTHER=1"}, want: func(c *Config) { c.Version = "3.2" }},
		"version by key before APP_VERSION":  {yaml: dsns, environ: []string{"APP_VERSION=3.2", "UNDERSTUDY_VERSION=4"}, want: func(c *Config) { c.Version = "4" }},
		"the last of role and podinfo.role":  {yaml: dsns, args: []string{"--podinfo.role=active", "--role=preview"}, want: func(c *Config) { c.Podinfo.Role = "preview" }},
		"variables that are not configuration": {yaml: dsns, environ: []string{
			"UNDERSTUDY_JOB_ID=1", "UNDERSTUDY_TEST_X=1", "UNDERSTUDY_POSTGRES_BIN=x", "UNDERSTUDYX=1", "UNDERSTUDY_PORT=tcp://10.0.0.1:80",
			"UNDERSTUDY_SERVICE_HOST=10.0.0.1", "UNDERSTUDY_SERVICE_PORT_HTTP=80", "UNDERSTUDY_ACTIVE_SERVICE_PORT=80", "UNDERSTUDY_PREVIEW_PORT_80_TCP_ADDR=10.0.0.1",
		}, want: func(*Config) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := writeFile(t, filepath.Join(t.TempDir(), "understudy.yaml"), c.yaml)
			got, err := Load(Source{File: file, Environ: c.environ, Flags: flags(t, c.args...)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(expected(c.want), got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfigFileIsNamedBySourceFlagOrVariable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(version string) string {
		return writeFile(t, filepath.Join(dir, version+".yaml"), dsns+"version: "+version)
	}
	a, b, c := file("a"), file("b"), file("c")
	environ := []string{"UNDERSTUDY_CONFIG=" + c}
	for want, src := range map[string]Source{
		"a": {File: a, Flags: flags(t, "--config", b), Environ: environ},
		"b": {Flags: flags(t, "--config", b), Environ: environ},
		"c": {Flags: flags(t), Environ: environ},
	} {
		if got, err := Load(src); err != nil || got.Version != want {
			t.Errorf("version %q, %v; want %q", got.Version, err, want)
		}
	}
}

func TestVersionOfTheBuildIsUsedLast(t *testing.T) {
	t.Parallel()
	environ := []string{"UNDERSTUDY_TARGETS__PRODUCTION__DSN=postgres://p", "UNDERSTUDY_PODINFO__ROLE=active"}
	if got, err := Load(Source{Environ: environ, Version: "build"}); err != nil || got.Version != "build" {
		t.Errorf("version %q, %v", got.Version, err)
	}
	if got, err := Load(Source{Environ: append(environ, "APP_VERSION=1"), Version: "build"}); err != nil || got.Version != "1" {
		t.Errorf("version %q, %v", got.Version, err)
	}
}

func TestOnlyTargetsThatCanBeWantedNeedADSN(t *testing.T) {
	t.Parallel()
	production := "UNDERSTUDY_TARGETS__PRODUCTION__DSN=postgres://p"
	for name, c := range map[string]struct {
		src  Source
		want string
	}{
		"every role's target":     {Source{Environ: []string{production}}, "targets.preview.dsn"},
		"only the fixed role's":   {Source{Environ: []string{production}, Flags: flags(t, "--role=stable")}, ""},
		"not another than that's": {Source{Environ: []string{production}, Flags: flags(t, "--role=canary")}, "targets.preview.dsn"},
		"only the command's":      {Source{Environ: []string{production}, Target: "production"}, ""},
		"the command's":           {Source{Environ: []string{production}, Target: "preview"}, "targets.preview.dsn"},
	} {
		_, err := Load(c.src)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestFlagsShowTheirDefaultsAndHideDSNs(t *testing.T) {
	t.Parallel()
	fs := flags(t, "--targets.production.dsn=postgres://app:hunter2@db/x", "--targets.eu.dsn=postgres://app:hunter2@db/x")
	usage := fs.FlagUsages()
	for _, want := range []string{
		"--config string", "--role role", "--worker.lease duration", "(default 30s)", "--targets.preview.schema schema", "(default preview)",
		"--targets.production.dsn DSN", "--roles.canary target", "--http.read_only", "--handlers YAML", "(default :8080)", "--queues.default.concurrency number",
	} {
		if !strings.Contains(usage, want) {
			t.Errorf("usage lacks %q:\n%s", want, usage)
		}
	}
	fs.VisitAll(func(f *pflag.Flag) {
		if strings.Contains(f.Value.String()+f.DefValue, "hunter2") {
			t.Errorf("flag %s shows its DSN", f.Name)
		}
	})
	if strings.Contains(usage, "hunter2") {
		t.Error("usage shows a DSN")
	}
}

func TestUnknownFlagOutsideTheSectionsIsPflagsToReport(t *testing.T) {
	t.Parallel()
	fs := pflag.NewFlagSet("understudy", pflag.ContinueOnError)
	Flags(fs)
	if err := fs.Parse([]string{"--nope.x=1"}); err == nil || !strings.Contains(err.Error(), "unknown flag: --nope.x") {
		t.Errorf("Parse = %v", err)
	}
}
