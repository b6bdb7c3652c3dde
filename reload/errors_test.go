package reload

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigurationErrorsSayWhatToDo compares whole lines: they are what a
// person at three in the morning reads.
func TestConfigurationErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, yaml string
		environ    []string
		args       []string
		target     string
		want       string
	}{
		{name: "unknown section", yaml: "workers: {lease: 1s}",
			want: `understudy.yaml: workers: unknown key: the nearest known one is worker`},
		{name: "unknown key", yaml: "targets: {production: {dns: 'postgres://app:hunter2@db'}}",
			want: `understudy.yaml: targets.production.dns: unknown key: the nearest known one is targets.production.dsn`},
		{name: "key in the wrong place", yaml: "lease: 10s",
			want: `understudy.yaml: lease: unknown key: the nearest known one is worker.lease`},
		{name: "unknown variable", environ: []string{"UNDERSTUDY_WORKER__LEESE=10s"},
			want: `UNDERSTUDY_WORKER__LEESE: worker.leese: unknown key: the nearest known one is UNDERSTUDY_WORKER__LEASE`},
		{name: "one underscore", environ: []string{"UNDERSTUDY_LOG_LEVEL=info"},
			want: `UNDERSTUDY_LOG_LEVEL: log_level: unknown key: the nearest known one is UNDERSTUDY_LOG__LEVEL`},
		{name: "unknown flag of a section", args: []string{"--targets.eu.dns=postgres://app:hunter2@db"},
			want: `--targets.eu.dns: targets.eu.dns: unknown key: the nearest known one is --targets.eu.dsn`},
		{name: "DSN as a key", yaml: "targets: {production: {'postgres://app:hunter2@db': x}}",
			want: `understudy.yaml: [redacted]: unknown key: the nearest known one is targets.production.migrate_dsn`},
		{name: "odd key", yaml: "'a\\nb: c': 1",
			want: `understudy.yaml: "a\\nb: c": unknown key: the nearest known one is version`},
		{name: "below a value", yaml: "worker: {lease: {seconds: 1}}",
			want: `understudy.yaml: worker.lease: a mapping, not a duration: write worker.lease with one value`},

		{name: "no unit", yaml: dsns + "worker: {lease: 10}",
			want: `understudy.yaml: worker.lease = "10": not a duration: write a number and a unit, such as 500ms, 10s or 24h`},
		{name: "bad duration by flag", args: []string{"--worker.lease=10x"},
			want: `--worker.lease: worker.lease = "10x": not a duration: write a number and a unit, such as 500ms, 10s or 24h`},
		{name: "bad duration by variable", environ: []string{"UNDERSTUDY_PODINFO__GRACE="},
			want: `UNDERSTUDY_PODINFO__GRACE: podinfo.grace = "": not a duration: write a number and a unit, such as 500ms, 10s or 24h`},
		{name: "short lease", yaml: "worker: {lease: 999ms}",
			want: `understudy.yaml: worker.lease = "999ms": too short: use at least 1s`},
		{name: "negative grace", yaml: "podinfo: {grace: -1s}",
			want: `understudy.yaml: podinfo.grace = "-1s": too short: use at least 0s`},
		{name: "no poll interval", yaml: "worker: {poll_interval: 0s}",
			want: `understudy.yaml: worker.poll_interval = "0s": not positive: use a duration above zero`},
		{name: "no drain", yaml: "targets: {eu: {drain_timeout: 0s}}",
			want: `understudy.yaml: targets.eu.drain_timeout = "0s": not positive: use a duration above zero`},
		{name: "not a number", yaml: "worker: {max_losses: many}",
			want: `understudy.yaml: worker.max_losses = "many": not a whole number: use one from 1 on`},
		{name: "no concurrency", yaml: "queues: {default: {concurrency: 0}}",
			want: `understudy.yaml: queues.default.concurrency = "0": too small: use at least 1`},
		{name: "too much concurrency", yaml: "queues: {default: {concurrency: 99999999999}}",
			want: `understudy.yaml: queues.default.concurrency = "99999999999": not a whole number: use one from 1 on`},
		{name: "queue of nothing", yaml: "queues: {mail: }",
			want: `understudy.yaml: queues.mail: has no value: give it one or remove it`},
		{name: "queue without concurrency", yaml: dsns + "queues: {mail: {}}",
			want: `configuration: queues.mail.concurrency: is not given: use at least 1`},
		{name: "no queues", yaml: dsns + "queues: {}",
			want: `configuration: queues: is empty: name at least one queue, such as {default: {concurrency: 50}}`},
		{name: "bad truth", yaml: "http: {read_only: maybe}",
			want: `understudy.yaml: http.read_only = "maybe": neither true nor false: use one of the two`},
		{name: "bad level", yaml: "log: {level: loud}",
			want: `understudy.yaml: log.level = "loud": unknown: use debug or info or warn or error`},
		{name: "bad mode", yaml: "targets: {preview: {migrations: maybe}}",
			want: `understudy.yaml: targets.preview.migrations = "maybe": unknown: use apply or verify`},
		{name: "bad pooler", yaml: "targets: {preview: {pooler: session}}",
			want: `understudy.yaml: targets.preview.pooler = "session": unknown: use none or transaction`},
		{name: "version as a number", yaml: "version: 1.10",
			want: `understudy.yaml: version = "1.1": not a text: put it in quotes`},
		{name: "bad address", yaml: "http: {addr: '8080'}",
			want: `understudy.yaml: http.addr = "8080": not an address to listen on: use host:port, such as :8080 or 127.0.0.1:8080`},
		{name: "bad list", yaml: "http: {ready_requires: [1]}",
			want: `understudy.yaml: http.ready_requires = "[1]": not a list of names: use [a, b] or a,b`},

		{name: "bad DSN", environ: []string{"UNDERSTUDY_TARGETS__PRODUCTION__DSN=hunter2"},
			want: `UNDERSTUDY_TARGETS__PRODUCTION__DSN: targets.production.dsn: is not a Postgres DSN, such as postgres://login:password@host:5432/database: the value is not shown here`},
		{name: "DSN of another type", yaml: "targets: {production: {dsn: [hunter2]}}",
			want: `understudy.yaml: targets.production.dsn: not a text: put it in quotes`},
		{name: "DSN in the wrong key", yaml: "targets: {production: {schema: 'postgres://app:hunter2@db/x'}}",
			want: `understudy.yaml: targets.production.schema = "[redacted]": is not a plain name: use lower-case letters, digits and underscores, and begin with no digit`},
		{name: "missing DSN", yaml: "targets: {production: {dsn: 'postgres://p'}}",
			want: `configuration: targets.preview.dsn: is empty, and role "canary" serves it: set targets.preview.dsn or targets.preview.dsn_file`},
		{name: "missing DSN of a command's", target: "preview",
			want: `configuration: targets.preview.dsn: is empty: set targets.preview.dsn or targets.preview.dsn_file`},
		{name: "emptied DSN", yaml: dsns, args: []string{"--targets.preview.dsn="},
			want: `--targets.preview.dsn: targets.preview.dsn: is empty, and role "canary" serves it: set targets.preview.dsn or targets.preview.dsn_file`},
		{name: "two DSNs", yaml: dsns, environ: []string{"UNDERSTUDY_TARGETS__PREVIEW__DSN_FILE=/secrets/dsn"},
			want: `UNDERSTUDY_TARGETS__PREVIEW__DSN_FILE: targets.preview.dsn_file = "/secrets/dsn": stands beside targets.preview.dsn: set one of the two`},
		{name: "two DSNs for migrations", yaml: dsns, environ: []string{"UNDERSTUDY_TARGETS__PREVIEW__MIGRATE_DSN=postgres://m:hunter2@db/x", "UNDERSTUDY_TARGETS__PREVIEW__MIGRATE_DSN_FILE=/secrets/dsn"},
			want: `UNDERSTUDY_TARGETS__PREVIEW__MIGRATE_DSN_FILE: targets.preview.migrate_dsn_file = "/secrets/dsn": stands beside targets.preview.migrate_dsn: set one of the two`},
		{name: "command's target", yaml: dsns, target: "prod",
			want: `--target = "prod": no such target: use one of preview, production`},

		{name: "bad schema", yaml: "targets: {preview: {schema: Preview}}",
			want: `understudy.yaml: targets.preview.schema = "Preview": is not a plain name: use lower-case letters, digits and underscores, and begin with no digit`},
		{name: "bad template", yaml: "targets: {preview: {schema: 'preview_{x'}}",
			want: `understudy.yaml: targets.preview.schema = "preview_{x": has a brace without a partner: write a label as {its-key}`},
		{name: "no schema", yaml: dsns, environ: []string{"UNDERSTUDY_TARGETS__EU__DSN=postgres://eu"},
			want: `configuration: targets.eu.schema: is empty: name the schema that the target's jobs are in`},
		{name: "bad target name", yaml: "targets: {EU: {}}",
			want: `understudy.yaml: targets.EU: cannot name a target: use lower-case letters and digits, with single - or _ between`},
		{name: "pooler without migrate_dsn", yaml: dsns, args: []string{"--targets.preview.pooler=transaction"},
			want: `configuration: targets.preview.migrate_dsn: is empty, and migrations cannot pass a transaction pooler: set it or migrate_dsn_file to a DSN that leads to Postgres directly, or set migrations to verify`},

		{name: "role to nowhere", yaml: dsns + "roles: {active: prod}",
			want: `understudy.yaml: roles.active = "prod": no such target: use one of preview, production`},
		{name: "role to nothing", yaml: dsns + "roles: {active: }",
			want: `understudy.yaml: roles.active: has no value: give it one or remove it`},
		{name: "no roles", yaml: dsns + "roles: {}",
			want: `configuration: roles: is empty: map at least one role to a target`},
		{name: "roles a text", yaml: "roles: production",
			want: `understudy.yaml: roles: not a mapping: write it such as {name: value}`},
		{name: "roles no mapping by variable", environ: []string{"UNDERSTUDY_ROLES=production"},
			want: `UNDERSTUDY_ROLES: roles: cannot be parsed as YAML: write it such as {name: value}`},
		{name: "impossible role", yaml: "roles: {'not ok': production}",
			want: `understudy.yaml: "roles.not ok": cannot be a label's value: use at most 63 letters, digits, dots, dashes and underscores`},
		{name: "empty role", yaml: "roles: {'': production}",
			want: `understudy.yaml: roles.: cannot be a role: name a role; a pod without one is idle`},
		{name: "fixed role to nothing", yaml: dsns, args: []string{"--role=activ"},
			want: `--role: podinfo.role = "activ": maps to no target: add it to roles, or use one of active, canary, preview, stable`},
		{name: "bad label", yaml: "podinfo: {role_label: 'my role'}",
			want: `understudy.yaml: podinfo.role_label = "my role": cannot be a label's key: use one such as role or example.com/role`},
		{name: "no directory", yaml: dsns + "podinfo: {dir: ''}",
			want: `understudy.yaml: podinfo.dir: is empty: name the directory with the pod's labels, or set podinfo.role`},

		{name: "handlers garbled", environ: []string{"UNDERSTUDY_HANDLERS={mail: {type: exec"},
			want: `UNDERSTUDY_HANDLERS: handlers: cannot be parsed as YAML: write it such as {name: value}`},
		{name: "a handler's value garbled", environ: []string{"UNDERSTUDY_HANDLERS__MAIL__COMMAND=[a"},
			want: `UNDERSTUDY_HANDLERS__MAIL__COMMAND: handlers.mail.command: cannot be parsed as YAML: write it such as {name: value}`},
		{name: "handler without type", yaml: dsns + "handlers: {mail: {command: [x]}}",
			want: `configuration: handlers.mail.type: is not given: name the type of the handler, such as http or exec`},
		{name: "ready without target", yaml: dsns + "http: {ready_requires: [prod]}",
			want: `understudy.yaml: http.ready_requires = "prod": no such target: use names of preview, production`},

		{name: "not YAML", yaml: "a: b\n\tpassword: hunter2",
			want: `understudy.yaml: not a YAML mapping: look at line 2: a tab indents it, use spaces`},
		{name: "not a mapping", yaml: "hunter2",
			want: `understudy.yaml: not a YAML mapping: look at line 1`},
		{name: "the same key twice", yaml: "version: a\nversion: b",
			want: `understudy.yaml: not a YAML mapping: look at line 2: a key stands there a second time`},
		{name: "the same key twice, deeper", yaml: "http:\n  addr: a\n  addr: b",
			want: `understudy.yaml: not a YAML mapping: look at line 3: a key stands there a second time`},
		{name: "a second document", yaml: dsns + "---\nworker: {lease: bogus, no_such_key: 1}",
			want: `understudy.yaml: line 2 begins a second YAML document: put its keys into the first, and remove the line that divides them`},
		{name: "a second document behind notes", yaml: "# one\n---\n" + dsns + "\n# two\n---\n\n# three\nversion: b",
			want: `understudy.yaml: line 6 begins a second YAML document: put its keys into the first, and remove the line that divides them`},
		{name: "a second document on the divider's line", yaml: dsns + "--- {version: b}",
			want: `understudy.yaml: line 2 begins a second YAML document: put its keys into the first, and remove the line that divides them`},
		{name: "a second document, of CRLF", yaml: "version: a\r\n---\r\nversion: b\r\n",
			want: `understudy.yaml: line 2 begins a second YAML document: put its keys into the first, and remove the line that divides them`},
		{name: "a third document", yaml: dsns + "---\n# nothing\n---\nversion: b",
			want: `understudy.yaml: line 4 begins a second YAML document: put its keys into the first, and remove the line that divides them`},
		{name: "after the end of a document", yaml: dsns + "...\nversion: b",
			want: `understudy.yaml: line 3 begins a second YAML document: put its keys into the first, and remove the line that divides them`},
		{name: "after the end, divided", yaml: dsns + "...\n---\nversion: b",
			want: `understudy.yaml: line 3 begins a second YAML document: put its keys into the first, and remove the line that divides them`},
		{name: "two documents of JSON", yaml: `{"version": "a"}` + "\n" + `{"version": "b"}`,
			want: `understudy.yaml: line 2 begins a second YAML document: put its keys into the first, and remove the line that divides them`},
		{name: "a second document that is garbled", yaml: dsns + "---\na: hunter2: [",
			want: `understudy.yaml: not a YAML mapping: look at line 3`},
		{name: "a second document that is no mapping", yaml: dsns + "---\nhunter2",
			want: `understudy.yaml: line 2 begins a second YAML document: put its keys into the first, and remove the line that divides them`},
		{name: "two documents in a variable", environ: []string{"UNDERSTUDY_ROLES={active: production}\n---\n{preview: preview}"},
			want: `UNDERSTUDY_ROLES: roles: cannot be parsed as YAML: write it such as {name: value}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := writeFile(t, filepath.Join(t.TempDir(), "understudy.yaml"), c.yaml)
			_, err := Load(Source{File: file, Environ: c.environ, Flags: flags(t, c.args...), Target: c.target})
			if _, ok := errors.AsType[*ConfigError](err); !ok {
				t.Fatalf("Load = %v, want a ConfigError", err)
			}
			if got := strings.ReplaceAll(err.Error(), filepath.Dir(file)+"/", ""); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestMissingConfigFileIsNamed(t *testing.T) {
	t.Parallel()
	_, err := Load(Source{File: "/nowhere/understudy.yaml"})
	if _, ok := errors.AsType[*ConfigError](err); !ok || err.Error() != "/nowhere/understudy.yaml: cannot be read: no such file or directory" {
		t.Errorf("Load = %v", err)
	}
}

func TestDistanceCountsEdits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"lease", "leese", 1}, {"dns", "dsn", 1}, {"role", "roles", 1}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// FuzzLoad checks that no file makes Load panic, that every error is one line
// that does not show a DSN, and that what loads keeps its promises.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(dsns + "roles: {active: production}\nqueues: {a: {concurrency: 1}}"))
	f.Add([]byte("targets: {eu: {dsn: 'postgres://hunter2@eu', schema: 'eu_{a.b/c}', drain_timeout: 1s}}\nroles: {x: eu}"))
	f.Add([]byte("handlers: {mail: {type: exec, command: [a, {b: c}], 1: 2, ~: []}}\nworker: {lease: 1h, max_losses: '3'}"))
	f.Add([]byte("version: &a hunter2\npodinfo: {role: *a}\nlog: {<<: {level: debug}}"))
	f.Add([]byte("roles: {? {a: b} : c, hunter2: [}"))
	f.Add([]byte("http: {addr: :1, ready_requires: a, read_only: TRUE}\nworker: {lease: 2024-01-01}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLayer(dotted)
		if err := l.addYAML("understudy.yaml", data); err != nil {
			oneLine(t, err)
			return
		}
		for _, target := range []string{"", "production"} {
			cfg, err := merge([]*layer{l}, Source{Target: target})
			if err != nil {
				oneLine(t, err)
				continue
			}
			promises(t, cfg, target)
		}
	})
}

// FuzzEnvironment checks the same of any variable with our prefix.
func FuzzEnvironment(f *testing.F) {
	f.Add("WORKER__LEASE", "10s")
	f.Add("ROLES", "{blue: production}")
	f.Add("HANDLERS__MAIL__COMMAND", "[a, {b: c}]")
	f.Add("TARGETS__PREVIEW__DSN", "hunter2")
	f.Add("TARGETS__EU__", "\n")
	f.Add("QUEUES__A B__CONCURRENCY", "1")
	f.Fuzz(func(t *testing.T, name, value string) {
		if strings.HasPrefix(name, "CONFIG") {
			t.Skip("it names a file, which could be any on this machine")
		}
		cfg, err := Load(Source{Environ: []string{
			"UNDERSTUDY_TARGETS__PRODUCTION__DSN=postgres://p", "UNDERSTUDY_TARGETS__PREVIEW__DSN=postgres://v",
			envPrefix + name + "=" + value,
		}})
		if err != nil {
			oneLine(t, err)
			return
		}
		promises(t, cfg, "")
	})
}

func oneLine(t *testing.T, err error) {
	t.Helper()
	var configErr *ConfigError
	if !errors.As(err, &configErr) {
		t.Fatalf("%T %v is not a ConfigError", err, err)
	}
	if strings.ContainsAny(err.Error(), "\n\r") || configErr.Source == "" || configErr.Problem == "" {
		t.Errorf("not one whole line: %q", err)
	}
	if strings.HasSuffix(configErr.Key, "dsn") && configErr.HasValue {
		t.Errorf("shows a DSN: %q", err)
	}
}

// promises checks what others rely on in every Config.
func promises(t *testing.T, cfg Config, target string) {
	t.Helper()
	if cfg.Worker.Lease < 1e9 || cfg.Worker.PollInterval <= 0 || cfg.Worker.Retention <= 0 || cfg.Worker.JobTimeout < 0 || cfg.Worker.MaxLosses < 1 {
		t.Errorf("worker: %+v", cfg.Worker)
	}
	for name, q := range cfg.Queues {
		if q.Concurrency < 1 {
			t.Errorf("queue %q: %+v", name, q)
		}
	}
	for _, name := range cfg.Roles {
		to, ok := cfg.Targets[name]
		if !ok || target == "" && cfg.Podinfo.Role == "" && to.DSN == "" && to.DSNFile == "" {
			t.Errorf("a role leads to target %q, which is %+v", name, to)
		}
	}
	for name, to := range cfg.Targets {
		if to.DrainTimeout <= 0 || templateProblem(to.Schema) != "" || to.DSN != "" && to.DSNFile != "" {
			t.Errorf("target %q: %+v", name, to)
		}
	}
	if _, err := NewWatcher(cfg, discard); err != nil {
		t.Errorf("a checked configuration makes no watcher: %v", err)
	}
}
