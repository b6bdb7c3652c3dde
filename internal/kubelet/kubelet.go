// Package kubelet writes a pod's files as a kubelet writes a Downward API or
// Secret volume, so that what reads such a volume can run and be tested
// without a cluster. The order of every step is that of Kubernetes'
// AtomicWriter (pkg/volume/util/atomic_writer.go).
package kubelet

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The two names that a volume keeps for itself. Every name that begins with
// two dots is the kubelet's.
const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
)

// Volume is a directory that is written as a kubelet writes one. One
// goroutine writes at a time; any number may read.
type Volume struct{ dir string }

// New returns the volume in dir, which the first Write creates if need be. A
// directory that already is such a volume is carried on.
func New(dir string) *Volume { return &Volume{dir: dir} }

// Dir is the volume's directory.
func (v *Volume) Dir() string { return v.dir }

// Write makes files, name to content, the whole content of the volume, in one
// step for those who read through ..data. It writes nothing if the volume
// already holds just that. After an error before that step the volume is as
// it was; after one behind it, the new files are in place.
func (v *Volume) Write(files map[string]string) error {
	if err := checkNames(files); err != nil {
		return err
	}
	if err := os.MkdirAll(v.dir, 0o755); err != nil {
		return fmt.Errorf("create volume: %w", err)
	}
	old, err := v.current()
	if err != nil {
		return err
	}
	stale, same, err := v.compare(old, files)
	if err != nil || same {
		return err
	}
	next, err := v.stage(files)
	if err != nil {
		return err
	}
	if err := v.publish(next); err != nil {
		return errors.Join(err, os.RemoveAll(v.path(next)))
	}
	return v.tidy(files, stale, old)
}

func (v *Volume) path(name ...string) string {
	return filepath.Join(append([]string{v.dir}, name...)...)
}

// checkNames allows plain file names, and none that the kubelet keeps for itself.
func checkNames(files map[string]string) error {
	for name := range files {
		if name == "" || name == "." || strings.HasPrefix(name, "..") || filepath.Base(name) != name {
			return fmt.Errorf("volume file %q: use a plain name that does not begin with two dots", name)
		}
	}
	return nil
}

// current is the name of the directory that ..data points to, "" before the
// first write.
func (v *Volume) current() (string, error) {
	old, err := os.Readlink(v.path(dataLink))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the volume's current files: %w", err)
	}
	return old, nil
}

// compare returns the names in the old directory that files no longer has,
// and whether the old directory holds files and nothing else.
func (v *Volume) compare(old string, files map[string]string) (stale []string, same bool, err error) {
	if old == "" {
		return nil, false, nil
	}
	entries, err := os.ReadDir(v.path(old))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("list the volume's current files: %w", err)
	}
	same = err == nil && len(entries) == len(files)
	for _, e := range entries {
		content, wanted := files[e.Name()]
		if !wanted {
			stale = append(stale, e.Name())
			same = false
			continue
		}
		if same {
			data, err := os.ReadFile(v.path(old, e.Name()))
			same = err == nil && string(data) == content
		}
	}
	return stale, same, nil
}

// stage writes files into a new timestamped directory and returns its name.
func (v *Volume) stage(files map[string]string) (string, error) {
	dir, err := os.MkdirTemp(v.dir, time.Now().UTC().Format("..2006_01_02_15_04_05."))
	if err != nil {
		return "", fmt.Errorf("stage volume files: %w", err)
	}
	if err := fill(dir, files); err != nil {
		return "", errors.Join(fmt.Errorf("stage volume files: %w", err), os.RemoveAll(dir))
	}
	return filepath.Base(dir), nil
}

// fill writes the files and then their permissions, whatever the umask.
func fill(dir string, files map[string]string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	for name := range files {
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// publish points ..data to the directory next, by a rename.
func (v *Volume) publish(next string) error {
	tmp := v.path(newDataLink)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear an interrupted volume write: %w", err)
	}
	if err := os.Symlink(next, tmp); err != nil {
		return fmt.Errorf("publish volume files: %w", err)
	}
	if err := os.Rename(tmp, v.path(dataLink)); err != nil {
		return errors.Join(fmt.Errorf("publish volume files: %w", err), os.Remove(tmp))
	}
	return nil
}

// tidy makes the visible names follow: a link for each file, none for those
// that are gone, and the old directory removed.
func (v *Volume) tidy(files map[string]string, stale []string, old string) error {
	for name := range files {
		err := os.Symlink(filepath.Join(dataLink, name), v.path(name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("show volume file: %w", err)
		}
	}
	for _, name := range stale {
		if err := os.Remove(v.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("hide volume file: %w", err)
		}
	}
	if old == "" {
		return nil
	}
	if err := os.RemoveAll(v.path(old)); err != nil {
		return fmt.Errorf("remove old volume files: %w", err)
	}
	return nil
}

// Labels formats labels or annotations as the file of a Downward API volume
// (Kubernetes' fieldpath.FormatMap): sorted lines key="value" without a
// newline at the end.
func Labels(labels map[string]string) string {
	lines := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) { // by key: a line's "=" sorts behind "." and "-"
		lines = append(lines, key+"="+strconv.Quote(labels[key]))
	}
	return strings.Join(lines, "\n")
}

// Label formats one label or annotation as the file of a single key, such as
// metadata.labels['role']: the value as it is. One that the pod does not have
// makes an empty file, not a missing one.
func Label(labels map[string]string, key string) string { return labels[key] }
