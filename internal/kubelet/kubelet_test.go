package kubelet_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/understudy-worker/understudy/internal/kubelet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tree lists a directory: links with where they point, files with their
// content; the timestamped directory is called TS.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.Readlink(filepath.Join(dir, "..data"))
	if err != nil {
		data = "no such name"
	}
	out := map[string]string{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		name := strings.Replace(e.Name(), data, "TS", 1)
		switch link, err := os.Readlink(path); {
		case err == nil:
			out[name] = "-> " + strings.Replace(link, data, "TS", 1)
		case e.IsDir():
			for file, content := range tree(t, path) {
				out[name+"/"+file] = content
			}
		default:
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out[name] = string(content)
		}
	}
	return out
}

func write(t *testing.T, v *kubelet.Volume, files map[string]string) {
	t.Helper()
	if err := v.Write(files); err != nil {
		t.Fatal(err)
	}
}

func TestWriteLeavesOneTimestampedDirectoryBehindData(t *testing.T) {
	t.Parallel()
	v := kubelet.New(filepath.Join(t.TempDir(), "podinfo"))
	write(t, v, map[string]string{"labels": "one", "role": "active"})
	write(t, v, map[string]string{"labels": "two", "annotations": ""})

	want := map[string]string{
		"..data": "-> TS", "TS/labels": "two", "TS/annotations": "",
		"labels": "-> ..data/labels", "annotations": "-> ..data/annotations",
	}
	if diff := cmp.Diff(want, tree(t, v.Dir())); diff != "" {
		t.Errorf("volume (-want +got):\n%s", diff)
	}
}

func TestWriteOfTheSameWritesNothing(t *testing.T) {
	t.Parallel()
	v := kubelet.New(t.TempDir())
	files := map[string]string{"labels": `role="active"`}
	write(t, v, files)
	before, err := os.Readlink(filepath.Join(v.Dir(), "..data"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, kubelet.New(v.Dir()), files)
	if after, _ := os.Readlink(filepath.Join(v.Dir(), "..data")); after != before {
		t.Errorf("..data moved from %s to %s though nothing changed", before, after)
	}
}

func TestWriteOvercomesAnInterruptedWrite(t *testing.T) {
	t.Parallel()
	v := kubelet.New(t.TempDir())
	if err := os.Symlink("..gone", filepath.Join(v.Dir(), "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	write(t, v, map[string]string{"labels": "x"})
	if got, err := os.ReadFile(filepath.Join(v.Dir(), "labels")); err != nil || string(got) != "x" {
		t.Errorf("labels = %q, %v", got, err)
	}
}

func TestWriteRefusesNamesOfTheKubelet(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", "..", "..data", "a/b", "/etc/passwd"} {
		v := kubelet.New(t.TempDir())
		err := v.Write(map[string]string{name: "x"})
		if err == nil || !strings.Contains(err.Error(), "plain name") {
			t.Errorf("Write(%q) = %v, want an error that asks for a plain name", name, err)
		}
		if got := tree(t, v.Dir()); len(got) != 0 {
			t.Errorf("Write(%q) left %v", name, got)
		}
	}
}

func TestFailedWriteLeavesTheVolumeAsItWas(t *testing.T) {
	t.Parallel()
	v := kubelet.New(t.TempDir())
	write(t, v, map[string]string{"labels": "old"})
	before := tree(t, v.Dir())
	long := strings.Repeat("n", 300) // longer than a file name can be
	if err := v.Write(map[string]string{"labels": "new", long: "x"}); err == nil {
		t.Fatal("a file name of 300 bytes was accepted")
	}
	if diff := cmp.Diff(before, tree(t, v.Dir())); diff != "" {
		t.Errorf("volume (-before +after):\n%s", diff)
	}
}

func TestWriteReportsADirectoryThatCannotBe(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := kubelet.New(file).Write(nil); err == nil {
		t.Error("a volume was written into a file")
	}
}

func TestLabelsAreSortedQuotedAndEndWithoutNewline(t *testing.T) {
	t.Parallel()
	got := kubelet.Labels(map[string]string{"role": "active", "app": "z", "app.kubernetes.io/name": "x", "note": "a\n\"b\""})
	want := "app=\"z\"\napp.kubernetes.io/name=\"x\"\nnote=\"a\\n\\\"b\\\"\"\nrole=\"active\""
	if got != want {
		t.Errorf("Labels = %q, want %q", got, want)
	}
	if got := kubelet.Labels(nil); got != "" {
		t.Errorf("Labels of nothing = %q", got)
	}
}

func TestASingleLabelIsRawAndAMissingOneIsAnEmptyFile(t *testing.T) {
	t.Parallel()
	labels := map[string]string{"role": "active", "note": "a\n\"b\""}
	v := kubelet.New(t.TempDir())
	write(t, v, map[string]string{"role": kubelet.Label(labels, "role"), "note": kubelet.Label(labels, "note"), "gone": kubelet.Label(labels, "gone")})
	want := map[string]string{
		"..data": "-> TS", "TS/role": "active", "TS/note": "a\n\"b\"", "TS/gone": "",
		"role": "-> ..data/role", "note": "-> ..data/note", "gone": "-> ..data/gone",
	}
	if diff := cmp.Diff(want, tree(t, v.Dir())); diff != "" {
		t.Errorf("volume (-want +got):\n%s", diff)
	}
}
