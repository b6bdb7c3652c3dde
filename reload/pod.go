package reload

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/knadh/koanf/v2"
)

const (
	labelsFile = "labels"
	filesKey   = "files"
	oddKey     = "odd"
	dataLink   = "..data" // what a kubelet's volume points to its current files with

	templateHashLabel = "rollouts-pod-template-hash" // Argo Rollouts' label on every pod of a revision

	maxPodFile  = 1 << 20 // a kubelet limits all annotations together to 256 KiB
	readRetries = 100     // each retry is a swap by the kubelet in between; it makes a few a minute
)

// Pod is what the files of a pod directory said at one moment.
type Pod struct {
	// Labels are the pod's, as their file lists them.
	Labels map[string]string
	// Files are the single-key files that were asked for and exist, by name,
	// raw as the kubelet writes them.
	Files map[string]string
	// HasLabels says whether there is a labels file, which may be empty.
	HasLabels bool
	// Odd is what is wrong with lines and files that cannot be read, by the
	// label that each would tell, "" for lines that may be of any. It matters to
	// who needs that label: see Check.
	Odd map[string]string
}

// ReadPod reads a pod directory and, in it, the single-key files of these
// names: see PodProvider.
func ReadPod(dir string, files ...string) (Pod, error) {
	ko := koanf.New(delim) // a fresh one: loading into an old one keeps keys that are gone
	if err := ko.Load(PodProvider{Dir: dir, Files: files}, nil); err != nil {
		return Pod{}, err
	}
	return Pod{
		Labels:    ko.StringMap(labelsFile),
		Files:     ko.StringMap(filesKey),
		HasLabels: ko.Exists(labelsFile),
		Odd:       ko.StringMap(oddKey),
	}, nil
}

// Check says whether it is known which value the label has, or that the pod does
// not have it.
func (p Pod) Check(label string) error {
	problem, odd := p.Odd[label]
	if _, has := p.Labels[label]; !odd && !has {
		problem, odd = p.Odd[""]
	}
	if odd {
		return errors.New(problem)
	}
	return nil
}

// Role is the value of the label roleLabel, "" if the pod has none: a clean
// answer that means idle. If there is no labels file, a file named as the
// label carries the role. It is an error if there is neither, or if what tells
// the role cannot be read.
func (p Pod) Role(roleLabel string) (string, error) {
	if err := p.Check(roleLabel); err != nil {
		return "", err
	}
	if p.HasLabels {
		return p.Labels[roleLabel], nil
	}
	role, ok := p.Files[roleLabel]
	if !ok {
		return "", fmt.Errorf("there is no file %q, nor one named %q", labelsFile, roleLabel)
	}
	return strings.TrimSpace(role), nil
}

// AllLabels are the pod's labels; without a labels file, those that
// single-key files tell.
func (p Pod) AllLabels() map[string]string {
	if p.HasLabels {
		return p.Labels
	}
	out := make(map[string]string, len(p.Files))
	for name, content := range p.Files {
		out[name] = strings.TrimSpace(content)
	}
	return out
}

// PodProvider is a koanf.Provider of a directory that a Downward API volume is
// mounted on. Its map has "labels", if there is such a file, key to value, and
// "files", name to content, for the single-key files that Files names and that
// exist; nothing else in the directory is opened. "odd" says what is wrong with a
// line of the labels, or with a single-key file where there are no labels: nobody
// may need them, and then they must not take away what is needed. Keys hold dots
// and slashes: give koanf a delimiter that they cannot hold.
//
// All files are of one moment: they are read through the one directory that
// ..data points to, and again from the start if ..data moved meanwhile. In a
// directory without ..data, for use without a kubelet, each file is read for
// itself: who writes it replaces it by a rename.
type PodProvider struct {
	Dir   string
	Files []string
}

// ReadBytes is not supported: a pod directory has more than one file.
func (PodProvider) ReadBytes() ([]byte, error) {
	return nil, errors.New("a pod directory has no bytes of its own: use Read")
}

// Read returns the files of one moment.
func (p PodProvider) Read() (map[string]any, error) {
	for range readRetries {
		out, moved, err := p.readOnce()
		if moved {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read pod directory %q: %w", p.Dir, err)
		}
		return out, nil
	}
	return nil, fmt.Errorf("read pod directory %q: its files were replaced %d times while they were read", p.Dir, readRetries)
}

// readOnce reads all files through what ..data points to; moved says that it
// does not any more, so that nothing read counts, errors included.
func (p PodProvider) readOnce() (out map[string]any, moved bool, err error) {
	before, err := p.current()
	if err != nil {
		return nil, false, err
	}
	out, err = p.readAt(before)
	after, afterErr := p.current()
	if afterErr != nil {
		return nil, false, afterErr
	}
	return out, after != before, err
}

// current is what ..data points to, "" in a directory without it.
func (p PodProvider) current() (string, error) {
	link, err := os.Readlink(filepath.Join(p.Dir, dataLink))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", dataLink, cause(err))
	}
	return link, nil
}

// readAt opens the directory once and reads everything through it.
func (p PodProvider) readAt(link string) (map[string]any, error) {
	if link == "" {
		return p.readFiles(os.DirFS(p.Dir))
	}
	if !filepath.IsAbs(link) {
		link = filepath.Join(p.Dir, link)
	}
	root, err := os.OpenRoot(link)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dataLink, cause(err))
	}
	out, err := p.readFiles(root.FS())
	return out, errors.Join(err, root.Close())
}

func (p PodProvider) readFiles(dir fs.FS) (map[string]any, error) {
	if _, err := fs.Stat(dir, "."); err != nil {
		return nil, cause(err)
	}
	labels, odd, err := readLabelsFile(dir)
	if err != nil {
		return nil, fmt.Errorf("file %q: %w", labelsFile, err)
	}
	single := map[string]any{}
	out := map[string]any{filesKey: single, oddKey: odd}
	if labels != nil {
		out[labelsFile] = labels
	}
	for _, name := range p.Files {
		data, err := readRegular(dir, name)
		switch {
		case err == nil:
			single[name] = string(data)
		case !errors.Is(err, fs.ErrNotExist) && labels == nil:
			odd[name] = fmt.Sprintf("file %q: %v", name, cause(err))
		}
	}
	return out, nil
}

// readLabelsFile returns the labels, nil if there is no such file, and what is
// wrong with its odd lines.
func readLabelsFile(dir fs.FS) (labels, odd map[string]any, err error) {
	odd = map[string]any{}
	data, err := readRegular(dir, labelsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, odd, nil
	}
	if err != nil {
		return nil, nil, cause(err)
	}
	labels, lines := parseLabels(string(data))
	for _, line := range lines {
		if _, before := odd[line.key]; !before && !line.blank {
			odd[line.key] = fmt.Sprintf("file %q: %v", labelsFile, line.err)
		}
	}
	return labels, odd, nil
}

// readRegular reads a file, and does not block on a pipe nor fill the memory.
// A name that cannot be a file's, as some label keys, is one that is not there.
func readRegular(dir fs.FS, name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrNotExist
	}
	info, err := fs.Stat(dir, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxPodFile {
		return nil, errors.New("not a regular file of at most 1 MiB")
	}
	file, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxPodFile))
	return data, errors.Join(err, file.Close())
}
