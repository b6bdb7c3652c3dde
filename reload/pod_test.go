package reload

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/v2"

	"github.com/understudy-worker/understudy/internal/kubelet"
)

func TestPodIsReadFromOneVersionOfTheVolume(t *testing.T) {
	t.Parallel()
	v := kubelet.New(t.TempDir())
	if err := v.Write(map[string]string{
		"labels": "role=\"active\"\nexample.com/a.b=\"a\\nb\"", "role": "ignored", "secret": "x",
	}); err != nil {
		t.Fatal(err)
	}
	got, err := ReadPod(v.Dir(), "role", "none", "../../etc/passwd")
	want := Pod{
		Labels:    map[string]string{"role": "active", "example.com/a.b": "a\nb"},
		Files:     map[string]string{"role": "ignored"},
		HasLabels: true,
		Odd:       map[string]string{},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("ReadPod: %v (-want +got):\n%s", err, diff)
	}
	if role, err := got.Role("role"); role != "active" || err != nil {
		t.Errorf("Role = %q, %v; the labels file goes first", role, err)
	}
}

func TestPodIsReadFromPlainFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "labels"), "role=\"preview\"\n")
	pod, err := ReadPod(dir, "role")
	if role, roleErr := pod.Role("role"); err != nil || roleErr != nil || role != "preview" {
		t.Errorf("role %q, %v, %v", role, err, roleErr)
	}
}

func TestSingleKeyFileCarriesTheRoleWithoutALabelsFile(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{"active": "active", "preview\n": "preview", "": "", "\n": ""} {
		v := kubelet.New(t.TempDir())
		if err := v.Write(map[string]string{"role": content, "hash": "6d4f9", "other": "x"}); err != nil {
			t.Fatal(err)
		}
		pod, err := ReadPod(v.Dir(), "role", "hash")
		role, roleErr := pod.Role("role")
		if err != nil || roleErr != nil || role != want {
			t.Errorf("file %q: role %q, %v, %v; want %q", content, role, err, roleErr, want)
		}
		if diff := cmp.Diff(map[string]string{"role": want, "hash": "6d4f9"}, pod.AllLabels()); diff != "" {
			t.Errorf("labels (-want +got):\n%s", diff)
		}
	}
}

func TestEmptyLabelsFileIsACleanReadWithoutRole(t *testing.T) {
	t.Parallel()
	v := kubelet.New(t.TempDir())
	if err := v.Write(map[string]string{"labels": "", "role": "active"}); err != nil {
		t.Fatal(err)
	}
	pod, err := ReadPod(v.Dir(), "role")
	if role, roleErr := pod.Role("role"); err != nil || roleErr != nil || role != "" || !pod.HasLabels {
		t.Errorf("role %q, %v, %v; an empty labels file is a pod without labels", role, err, roleErr)
	}
}

func TestUnreadablePodFilesAreErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"no directory":      {os.RemoveAll, "no such file or directory"},
		"a file instead":    {func(d string) error { os.Remove(d); return os.WriteFile(d, nil, 0o600) }, "not a directory"},
		"empty":             {func(string) error { return nil }, `there is no file "labels", nor one named "role"`},
		"garbled":           {put("labels", "a=\"1\"\nrole"), `file "labels": line 2: not of the form`},
		"garbled at all":    {put("labels", "a=\"1\"\n\x00\x00"), `file "labels": line 2: not of the form`},
		"the role twice":    {put("labels", "role=\"a\"\nrole=\"b\""), `file "labels": line 2: key "role" stands there twice`},
		"the role, half":    {put("labels", "role=\"a\"\n role: b"), `file "labels": line 2: not of the form`},
		"labels directory":  {func(d string) error { return os.Mkdir(d+"/labels", 0o700) }, `file "labels": not a regular file`},
		"labels pipe":       {func(d string) error { return syscall.Mkfifo(d+"/labels", 0o600) }, `file "labels": not a regular file`},
		"role directory":    {func(d string) error { return os.Mkdir(d+"/role", 0o700) }, `file "role": not a regular file`},
		"labels to nowhere": {func(d string) error { return os.Symlink("nowhere", d+"/labels") }, `there is no file "labels"`},
		"labels in a loop":  {func(d string) error { return os.Symlink("labels", d+"/labels") }, "too many levels"},
		"data to nowhere":   {func(d string) error { return os.Symlink("..gone", d+"/..data") }, "..data: no such file"},
		"data in a loop":    {func(d string) error { return os.Symlink("..data", d+"/..data") }, "..data: too many levels"},
		"data a directory":  {func(d string) error { return os.Mkdir(d+"/..data", 0o700) }, "..data: invalid argument"},
		"too large":         {put("labels", strings.Repeat("x", maxPodFile+1)), "at most 1 MiB"},
	} {
		dir := filepath.Join(t.TempDir(), "podinfo")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := c.spoil(dir); err != nil {
			t.Fatal(err)
		}
		cfg := load(t, dsns)
		cfg.Podinfo.Dir = dir
		_, err := cfg.readPod()
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want an error with %q that names the directory", name, err, c.want)
		}
	}
}

// TestWhatNobodyNeedsDoesNotTakeTheRoleAway puts what cannot be read beside the
// labels, and between them.
func TestWhatNobodyNeedsDoesNotTakeTheRoleAway(t *testing.T) {
	t.Parallel()
	const good = "app=\"w\"\nrole=\"active\"\nrollouts-pod-template-hash=\"6d4f9\""
	beside := func(spoil func(dir string) error) func(dir string) error {
		return func(d string) error { return errors.Join(put("labels", good)(d), spoil(d)) }
	}
	for name, spoil := range map[string]func(dir string) error{
		"raw annotations":          beside(put("annotations", "team-a")),
		"annotations closed":       beside(func(d string) error { return os.WriteFile(d+"/annotations", nil, 0) }),
		"an annotations pipe":      beside(func(d string) error { return syscall.Mkfifo(d+"/annotations", 0o600) }),
		"an annotations folder":    beside(func(d string) error { return os.MkdirAll(d+"/annotations/team", 0o700) }),
		"annotations in a loop":    beside(func(d string) error { return os.Symlink("annotations", d+"/annotations") }),
		"a huge file":              beside(put("annotations", strings.Repeat("x", maxPodFile+1))),
		"a folder of the role":     beside(func(d string) error { return os.Mkdir(d+"/role", 0o700) }),
		"a loop of the hash":       beside(func(d string) error { return os.Symlink(templateHashLabel, d+"/"+templateHashLabel) }),
		"another file":             beside(func(d string) error { return os.Mkdir(d+"/cpu_limit", 0o700) }),
		"an odd line first":        put("labels", "# made by hand\n"+good),
		"an odd line between":      put("labels", "app=w\n"+good),
		"a blank line":             put("labels", good+"\n\n\n"),
		"a line of bytes":          put("labels", good+"\n\x00\xff"),
		"another label twice":      put("labels", "app=\"1\"\n"+good),
		"a value that is not Go's": put("labels", good+"\nzone=\"\\q\""),
		"no labels, an odd hash": func(d string) error {
			return errors.Join(put("role", "active")(d), os.Mkdir(d+"/"+templateHashLabel, 0o700))
		},
	} {
		cfg := load(t, dsns+"roles: {active: production, preview: preview}\n")
		cfg.Podinfo.Dir = t.TempDir()
		if err := spoil(cfg.Podinfo.Dir); err != nil {
			t.Fatal(err)
		}
		if v, err := cfg.readPod(); err != nil || v.role != "active" {
			t.Errorf("%s: role %q, %v; want active", name, v.role, err)
		}
	}
}

// TestALabelInTheSchemasNameIsNeeded holds the other side: what the wanted
// target's schema takes its name from is not done without.
func TestALabelInTheSchemasNameIsNeeded(t *testing.T) {
	t.Parallel()
	cfg := load(t, "roles: {active: production, preview: preview}\n"+dsns[:len(dsns)-3]+", schema: 'preview_{rollouts-pod-template-hash}'}}\n")
	for role, want := range map[string]string{"active": "", "preview": `file "labels": line 2: value of "rollouts-pod-template-hash" is not in double quotes`} {
		cfg.Podinfo.Dir = t.TempDir()
		if err := put("labels", "role=\""+role+"\"\nrollouts-pod-template-hash=6d4f9")(cfg.Podinfo.Dir); err != nil {
			t.Fatal(err)
		}
		if _, err := cfg.readPod(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", role, err, want)
		}
	}
}

func put(name, content string) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600) }
}

// TestReadsAreNeverMixedNorEmptyWhileTheVolumeIsSwapped reads as fast as it
// can while the kubelet writes as fast as it can. Every file of one version
// holds the same number.
func TestReadsAreNeverMixedNorEmptyWhileTheVolumeIsSwapped(t *testing.T) {
	t.Parallel()
	const swaps = 500
	v := kubelet.New(t.TempDir())
	write := func(n int) error {
		number := fmt.Sprint(n)
		line := kubelet.Labels(map[string]string{"n": number, "role": "r" + number})
		return v.Write(map[string]string{"labels": line, "role": number})
	}
	if err := write(0); err != nil {
		t.Fatal(err)
	}
	var ended atomic.Bool
	failed := make(chan error, 1)
	go func() {
		defer ended.Store(true)
		for n := 1; n <= swaps; n++ {
			if err := write(n); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	reads, versions := 0, map[string]bool{}
	for !ended.Load() {
		pod, err := ReadPod(v.Dir(), "role")
		n := pod.Labels["n"]
		if err != nil || n == "" || pod.Files["role"] != n || pod.Labels["role"] != "r"+n {
			t.Errorf("read %d: %+v, %v: mixed or empty", reads, pod, err)
			break
		}
		reads++
		versions[n] = true
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if len(versions) < 10 {
		t.Errorf("%d reads saw only %d versions: they did not meet the swaps", reads, len(versions))
	}
	t.Logf("%d reads saw %d of %d versions", reads, len(versions), swaps)
}

func TestPodProviderKeepsKeysWhole(t *testing.T) {
	t.Parallel()
	v, _ := volume(t, map[string]string{"app.kubernetes.io/name": "x", "app": "y"})
	ko := koanf.New(delim)
	if err := ko.Load(PodProvider{Dir: v.Dir()}, nil); err != nil {
		t.Fatal(err)
	}
	if got := ko.String("labels" + delim + "app.kubernetes.io/name"); got != "x" {
		t.Errorf("label with dots and a slash = %q; keys %q", got, ko.Keys())
	}
	if _, err := (PodProvider{Dir: v.Dir()}).ReadBytes(); err == nil {
		t.Error("ReadBytes returned no error")
	}
}
