package reload

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Target is one target as a Snapshot has it: comparable, with the DSN read
// from its file and the labels in the schema's name filled in.
type Target struct {
	Name string
	DSN  Secret
	// MigrateDSN is used for migrations, "" for the same as DSN.
	MigrateDSN    Secret
	Schema        string
	Migrations    MigrationMode
	AppMigrations string
	DrainTimeout  time.Duration
	Pooler        Pooler
}

// ReadTarget is the target of that name as it stands now, for commands that
// run once. labels fill in the schema's template; nil will do for one without.
func ReadTarget(cfg Config, name string, labels map[string]string) (Target, error) {
	return cfg.target(name, labels, readDSN)
}

// target makes a Target of the configured one. Its errors name the target.
func (c Config) target(name string, labels map[string]string, dsn func(file string) (Secret, error)) (Target, error) {
	t, ok := c.Targets[name]
	if !ok {
		return Target{}, fmt.Errorf("target %q is not configured: use one of %s", name, words(c.Targets))
	}
	out := Target{
		Name: name, DSN: t.DSN, MigrateDSN: t.MigrateDSN, Migrations: t.Migrations,
		AppMigrations: t.AppMigrations, DrainTimeout: t.DrainTimeout, Pooler: t.Pooler,
	}
	var err error
	if out.Schema, err = ExpandSchema(t.Schema, labels); err != nil {
		return Target{}, fmt.Errorf("target %q: %w", name, err)
	}
	if t.DSNFile != "" {
		if out.DSN, err = dsn(t.DSNFile); err != nil {
			return Target{}, fmt.Errorf("target %q: %w", name, err)
		}
	}
	if out.DSN == "" {
		return Target{}, fmt.Errorf("target %[1]q has no DSN: set targets.%[1]s.dsn or targets.%[1]s.dsn_file", name)
	}
	return out, nil
}

// readDSN reads a file whose one line is a DSN. The path is looked up at once
// through whatever links it has, so that one read sees one version of the
// file; a link that a kubelet moves in that moment makes it look again.
func readDSN(file string) (Secret, error) {
	var data []byte
	err := os.ErrNotExist
	for tries := 0; tries < 3 && errors.Is(err, os.ErrNotExist); tries++ {
		data, err = readRegular(os.DirFS(filepath.Dir(file)), filepath.Base(file))
	}
	if err != nil {
		return "", fmt.Errorf("dsn_file %q: %w", file, cause(err))
	}
	dsn := strings.TrimRight(string(data), "\r\n")
	if dsn == "" {
		return "", fmt.Errorf("dsn_file %q is empty", file)
	}
	if err := checkDSN(dsn); err != nil {
		return "", fmt.Errorf("dsn_file %q: its content %w", file, err)
	}
	return Secret(dsn), nil
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
		dsn, err := readDSN(file)
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
