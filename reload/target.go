package reload

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Target is one target as a Snapshot has it: comparable, with the DSN read
// from its file and the labels in the schema's name filled in.
type Target struct {
	Name string
	DSN  Secret
	// DSNFile is the file that the DSN was read from, "" for none.
	DSNFile string
	// MigrateDSN or what is in MigrateDSNFile is used for migrations: see MigrationDSN.
	MigrateDSN     Secret
	MigrateDSNFile string
	Schema         string
	Migrations     MigrationMode
	AppMigrations  string
	DrainTimeout   time.Duration
	Pooler         Pooler
}

// DSNKey is the key of the configuration that the DSN is from.
func (t Target) DSNKey() string {
	if t.DSNFile != "" {
		return t.key("dsn_file")
	}
	return t.key("dsn")
}

// MigrationDSN is what to migrate with, and the key that it is from. A file is
// read now and not before, so that what is in it is nothing to those who do
// not migrate: they need not have it, and are not disturbed when it changes.
func (t Target) MigrationDSN() (dsn Secret, key string, err error) {
	switch {
	case t.MigrateDSNFile != "":
		key = t.key("migrate_dsn_file")
		if dsn, err = readDSN(t.MigrateDSNFile); err != nil {
			return "", key, fmt.Errorf("%s %w", key, err)
		}
		return dsn, key, nil
	case t.MigrateDSN != "":
		return t.MigrateDSN, t.key("migrate_dsn"), nil
	}
	return t.DSN, t.DSNKey(), nil
}

func (t Target) key(last string) string { return dotted([]string{"targets", t.Name, last}) }

// ReadTarget is the target of that name as it stands now, for commands that
// run once. labels fill in the schema's template; nil will do for one without.
func ReadTarget(cfg Config, name string, labels map[string]string) (Target, error) {
	return cfg.target(name, labels, readDSNFile)
}

// ReadTargetToMigrate is ReadTarget for commands that only migrate: where
// there is a DSN for that, the other one is not read, and stays empty.
func ReadTargetToMigrate(cfg Config, name string, labels map[string]string) (Target, error) {
	if t := cfg.Targets[name]; t.MigrateDSN != "" || t.MigrateDSNFile != "" {
		return cfg.place(name, labels)
	}
	return ReadTarget(cfg, name, labels)
}

// target makes a Target of the configured one. Its errors name the target.
func (c Config) target(name string, labels map[string]string, dsn func(file string) (Secret, error)) (Target, error) {
	out, err := c.place(name, labels)
	if err != nil {
		return Target{}, err
	}
	if out.DSN = c.Targets[name].DSN; out.DSNFile != "" {
		if out.DSN, err = dsn(out.DSNFile); err != nil {
			return Target{}, fmt.Errorf("target %q: %w", name, err)
		}
	}
	if out.DSN == "" {
		return Target{}, fmt.Errorf("target %[1]q has no DSN: set targets.%[1]s.dsn or targets.%[1]s.dsn_file", name)
	}
	return out, nil
}

// place is a Target but for its DSN.
func (c Config) place(name string, labels map[string]string) (Target, error) {
	t, ok := c.Targets[name]
	if !ok {
		return Target{}, fmt.Errorf("target %q is not configured: use one of %s", name, words(c.Targets))
	}
	schema, err := ExpandSchema(t.Schema, labels)
	if err != nil {
		return Target{}, fmt.Errorf("target %q: %w", name, err)
	}
	return Target{
		Name: name, DSNFile: t.DSNFile, MigrateDSN: t.MigrateDSN, MigrateDSNFile: t.MigrateDSNFile, Schema: schema,
		Migrations: t.Migrations, AppMigrations: t.AppMigrations, DrainTimeout: t.DrainTimeout, Pooler: t.Pooler,
	}, nil
}

// readDSNFile reads the file that dsn_file names.
func readDSNFile(file string) (Secret, error) {
	dsn, err := readDSN(file)
	if err != nil {
		return "", fmt.Errorf("dsn_file %w", err)
	}
	return dsn, nil
}

// readDSN reads a file whose one line is a DSN. The path is looked up at once
// through whatever links it has, so that one read sees one version of the
// file; a link that a kubelet moves in that moment makes it look again. Its
// errors begin with the file.
func readDSN(file string) (Secret, error) {
	var data []byte
	err := os.ErrNotExist
	for tries := 0; tries < 3 && errors.Is(err, os.ErrNotExist); tries++ {
		data, err = readRegular(os.DirFS(filepath.Dir(file)), filepath.Base(file))
	}
	if err != nil {
		return "", SecretFileError(file, err)
	}
	dsn := firstLine(string(data))
	if dsn == "" {
		return "", fmt.Errorf("%s is empty: write the DSN into it", shownFile(file))
	}
	if err := checkDSN(dsn); err != nil {
		return "", fmt.Errorf("%s: its content %w", shownFile(file), err)
	}
	return Secret(dsn), nil
}

// fileAdvice says what to do about a file that cannot be read.
func fileAdvice(err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return ": see that the Secret is mounted there, and has a key of that name"
	case errors.Is(err, os.ErrPermission):
		return ": let the user that this program runs as read it"
	}
	return ""
}

// dsnFiles keeps what each DSN file last said, by its path, so that a file
// that cannot be read for a while changes nothing.
type dsnFiles struct {
	good map[string]Secret
	errs map[string]error
}

// newDSNFiles makes one for the files of all targets: another than the
// current one may be wanted at a moment when its file cannot be read.
func newDSNFiles(targets map[string]TargetConfig) *dsnFiles {
	d := &dsnFiles{good: map[string]Secret{}, errs: map[string]error{}}
	for _, t := range targets {
		if t.DSNFile != "" {
			d.errs[t.DSNFile] = nil
		}
	}
	return d
}

// read reads every file anew.
func (d *dsnFiles) read() {
	for file := range d.errs {
		dsn, err := readDSNFile(file)
		if err == nil {
			d.good[file] = dsn
		}
		d.errs[file] = err
	}
}

// get is what the file last said; an error only if it never said anything.
func (d *dsnFiles) get(file string) (Secret, error) {
	if dsn, ok := d.good[file]; ok {
		return dsn, nil
	}
	return "", d.errs[file]
}

// err is what is wrong with the files, nil if nothing is.
func (d *dsnFiles) err() error {
	var errs []error
	for _, file := range sorted(d.errs) {
		errs = append(errs, d.errs[file])
	}
	return errors.Join(errs...)
}

// Targets are all targets of the configuration as they stand now. Where two turn
// out to be one place, the first of them is served: that of the role active, that
// of stable, others, and previews last. Of one that cannot be read now only Name
// is set.
func Targets(cfg Config, labels map[string]string) []Target {
	names := slices.SortedFunc(maps.Keys(cfg.Targets), func(a, b string) int {
		return cmp.Or(cmp.Compare(cfg.rank(a), cfg.rank(b)), cmp.Compare(a, b))
	})
	all := make([]Target, len(names))
	for i, name := range names {
		target, err := ReadTarget(cfg, name, labels)
		if err != nil {
			target = Target{Name: name}
		}
		all[i] = target
	}
	return all
}

// rank is where a target stands among those that may be one place.
func (c Config) rank(name string) int {
	switch {
	case c.Roles["active"] == name:
		return 0
	case c.Roles["stable"] == name:
		return 1
	case !strings.HasPrefix(name, "preview"):
		return 2
	}
	return 3
}
