package reload

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// checker checks what no key can be judged by alone.
type checker struct {
	cfg    Config
	from   map[string]string // joined path → file, variable or flag
	target string            // the one target that a command is about, "" for all
}

func (c checker) check() error {
	for _, check := range []func() error{
		c.checkPodinfo, c.checkRoles, c.checkTargets, c.checkDSNs, c.checkQueues, c.checkHandlers, c.checkReady,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// fault makes a ConfigError at a key, whose source is known if anyone gave it.
func (c checker) fault(path []string, problem, advice string) *ConfigError {
	e := &ConfigError{Source: c.from[strings.Join(path, delim)], Key: shownKey(path), Problem: problem, Advice: advice}
	if e.Source == "" {
		e.Source = "configuration"
	}
	return e
}

func (e *ConfigError) withValue(value string) *ConfigError {
	e.Value, e.HasValue = shown(value), true
	return e
}

// withFile is withValue for the name of a file that holds a secret.
func (e *ConfigError) withFile(name string) *ConfigError {
	if !plainPath.MatchString(name) {
		return e
	}
	return e.withValue(name)
}

func (c checker) checkPodinfo() error {
	if c.cfg.Podinfo.Role == "" && c.cfg.Podinfo.Dir == "" {
		return c.fault([]string{"podinfo", "dir"}, "is empty", "name the directory with the pod's labels, or set podinfo.role")
	}
	return nil
}

func (c checker) checkRoles() error {
	if len(c.cfg.Roles) == 0 {
		return c.fault([]string{"roles"}, "is empty", "map at least one role to a target")
	}
	for _, role := range sorted(c.cfg.Roles) {
		name := c.cfg.Roles[role]
		if _, ok := c.cfg.Targets[name]; !ok {
			return c.fault([]string{"roles", role}, "no such target", "use one of "+words(c.cfg.Targets)).withValue(name)
		}
	}
	if role := c.cfg.Podinfo.Role; role != "" && c.cfg.Roles[role] == "" {
		return c.fault([]string{"podinfo", "role"}, "maps to no target",
			"add it to roles, or use one of "+words(c.cfg.Roles)).withValue(role)
	}
	return nil
}

func (c checker) checkTargets() error {
	for _, name := range sorted(c.cfg.Targets) {
		t := c.cfg.Targets[name]
		path := func(key string) []string { return []string{"targets", name, key} }
		switch {
		case t.Schema == "":
			return c.fault(path("schema"), "is empty", "name the schema that the target's jobs are in")
		case t.DSN != "" && t.DSNFile != "":
			return c.fault(path("dsn_file"), "stands beside "+dotted(path("dsn")), "set one of the two").withFile(t.DSNFile)
		case t.MigrateDSN != "" && t.MigrateDSNFile != "":
			return c.fault(path("migrate_dsn_file"), "stands beside "+dotted(path("migrate_dsn")), "set one of the two").withFile(t.MigrateDSNFile)
		case t.Pooler == PoolerTransaction && t.Migrations == MigrationsApply && t.MigrateDSN == "" && t.MigrateDSNFile == "":
			return c.fault(path("migrate_dsn"), "is empty, and migrations cannot pass a transaction pooler",
				"set it or migrate_dsn_file to a DSN that leads to Postgres directly, or set migrations to verify")
		}
	}
	return nil
}

// checkDSNs asks for a DSN of each target that can be wanted.
func (c checker) checkDSNs() error {
	if _, ok := c.cfg.Targets[c.target]; c.target != "" && !ok {
		e := &ConfigError{Source: "--target", Problem: "no such target", Advice: "use one of " + words(c.cfg.Targets)}
		return e.withValue(c.target)
	}
	for _, name := range c.wanted() {
		if t := c.cfg.Targets[name]; t.DSN == "" && t.DSNFile == "" {
			path := []string{"targets", name}
			return c.fault(append(path, "dsn"), "is empty"+c.wantedBy(name),
				fmt.Sprintf("set %[1]s.dsn or %[1]s.dsn_file", dotted(path)))
		}
	}
	return nil
}

// wanted are the targets that this process may be told to serve.
func (c checker) wanted() []string {
	switch {
	case c.target != "":
		return []string{c.target}
	case c.cfg.Podinfo.Role != "":
		return []string{c.cfg.Roles[c.cfg.Podinfo.Role]}
	}
	return slices.Compact(slices.Sorted(maps.Values(c.cfg.Roles)))
}

// wantedBy says which role leads to the target.
func (c checker) wantedBy(target string) string {
	if c.target != "" {
		return ""
	}
	for _, role := range sorted(c.cfg.Roles) {
		if c.cfg.Roles[role] == target && (c.cfg.Podinfo.Role == "" || c.cfg.Podinfo.Role == role) {
			return fmt.Sprintf(", and role %q serves it", role)
		}
	}
	return ""
}

func (c checker) checkQueues() error {
	if len(c.cfg.Queues) == 0 {
		return c.fault([]string{"queues"}, "is empty", "name at least one queue, such as {default: {concurrency: 50}}")
	}
	for _, name := range sorted(c.cfg.Queues) {
		if c.cfg.Queues[name].Concurrency == 0 {
			return c.fault([]string{"queues", name, "concurrency"}, "is not given", "use at least 1")
		}
	}
	return nil
}

func (c checker) checkHandlers() error {
	for _, kind := range sorted(c.cfg.Handlers) {
		if name, ok := c.cfg.Handlers[kind]["type"].(string); !ok || name == "" {
			return c.fault([]string{"handlers", kind, "type"}, "is not given", "name the type of the handler, such as http or exec")
		}
	}
	return nil
}

func (c checker) checkReady() error {
	for _, name := range c.cfg.HTTP.ReadyRequires {
		if _, ok := c.cfg.Targets[name]; !ok {
			return c.fault([]string{"http", "ready_requires"}, "no such target", "use names of "+words(c.cfg.Targets)).withValue(name)
		}
	}
	return nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// words lists the names in m for people.
func words[V any](m map[string]V) string { return shown(strings.Join(sorted(m), ", ")) }
