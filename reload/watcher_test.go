package reload

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy/internal/kubelet"
)

func TestFirstSnapshotIsPublishedAlways(t *testing.T) {
	t.Parallel()
	_, cfg := volume(t, role(""))
	w := watcher(t, cfg)
	run(t, w)
	if got := next(t, w); got != (Snapshot{}) {
		t.Errorf("snapshot of a pod without role = %+v, want the idle one", got)
	}
}

func TestRoleLeadsToItsTarget(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, role("preview"))
	w := watcher(t, cfg)
	run(t, w)
	if got := next(t, w); got.Role != "preview" || got.Target.Name != "preview" || got.Problem != "" {
		t.Errorf("snapshot = %+v", got)
	}
	setLabels(t, v, role("active"))
	if got := next(t, w); got.Role != "active" || got.Target.Name != "production" || got.Target.Schema != "production" {
		t.Errorf("snapshot = %+v", got)
	}
}

func TestEmptyOrMissingRoleIsADemotionAtOnce(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"the key is gone":  {"labels": kubelet.Labels(map[string]string{"app": "worker"})},
		"the key is empty": {"labels": kubelet.Labels(role(""))},
		"no labels at all": {"labels": ""},
		"an empty file":    {"role": ""},
	} {
		v, cfg := volume(t, role("active"))
		cfg.Podinfo.Grace = time.Hour
		w := watcher(t, cfg)
		stop := run(t, w)
		next(t, w)
		if err := v.Write(files); err != nil {
			t.Fatal(err)
		}
		if got := next(t, w); got != (Snapshot{}) {
			t.Errorf("%s: snapshot = %+v, want the idle one", name, got)
		}
		stop()
	}
}

func TestUnmappedRoleIsAProblem(t *testing.T) {
	t.Parallel()
	_, cfg := volume(t, role("spare"))
	w := watcher(t, cfg)
	run(t, w)
	if got := next(t, w); got.Role != "spare" || got.Target != (Target{}) || !strings.Contains(got.Problem, `role "spare" maps to no target`) {
		t.Errorf("snapshot = %+v", got)
	}
}

func TestOnlyWhatDiffersIsPublished(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, role("active"))
	w := watcher(t, cfg)
	run(t, w)
	next(t, w)
	for i := range 3 { // a label that asks for nothing else
		read := w.Health().ReadAt
		setLabels(t, v, map[string]string{"role": "active", "n": fmt.Sprint(i)})
		eventually(t, "the change is read", func() bool { return w.Health().ReadAt.After(read) && w.Health().Labels["n"] == fmt.Sprint(i) })
	}
	setLabels(t, v, role("preview"))
	if got := next(t, w); got.Role != "preview" {
		t.Errorf("snapshot after changes of another label = %+v", got)
	}
}

func TestLatestSnapshotWins(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, role("active"))
	w := watcher(t, cfg)
	stop := run(t, w)
	for _, r := range []string{"preview", "canary", "stable"} {
		setLabels(t, v, role(r))
		eventually(t, r+" is read", func() bool { return w.Health().Labels["role"] == r })
	}
	stop()
	if got := next(t, w); got.Role != "stable" {
		t.Errorf("snapshot that nobody took for long = %+v, want the latest", got)
	}
}

func TestAReceiverDoesNotGetWhatItHas(t *testing.T) {
	t.Parallel()
	_, cfg := volume(t, role("active"))
	w := watcher(t, cfg)
	a, b := Snapshot{Role: "a"}, Snapshot{Role: "b"}
	for _, s := range []Snapshot{a, a} {
		w.publish(s)
	}
	if got := next(t, w); got != a {
		t.Fatalf("got %+v", got)
	}
	w.publish(b) // overtaken by a, which the receiver has
	w.publish(a)
	select {
	case got := <-w.Snapshots():
		t.Errorf("got %+v twice", got)
	default:
	}
	w.publish(b)
	if got := next(t, w); got != b {
		t.Errorf("got %+v, want b", got)
	}
	w.publish(a)
	if got := next(t, w); got != a {
		t.Errorf("got %+v, want a", got)
	}
}

func TestFirstEventActsAtOnce(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, role("active"))
	w := watcher(t, cfg)
	w.settle = time.Hour
	run(t, w)
	next(t, w)
	setLabels(t, v, role("preview"))
	if got := next(t, w); got.Role != "preview" {
		t.Errorf("snapshot = %+v", got)
	}
}

func TestEventsCloselyBehindTheFirstActTogether(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, role("active"))
	w := watcher(t, cfg)
	w.settle = 300 * time.Millisecond
	run(t, w)
	next(t, w)
	start := time.Now()
	setLabels(t, v, role("first"))
	next(t, w)
	for _, r := range []string{"second", "third", "fourth"} {
		setLabels(t, v, role(r))
	}
	await(t, w, "role fourth", func(s Snapshot) bool { return s.Role == "fourth" })
	if took := time.Since(start); took < w.settle {
		t.Errorf("the last of four events acted after %s, want at least %s", took, w.settle)
	}
}

// spoilers make the labels unreadable, in each way that there is.
var spoilers = map[string]func(v *kubelet.Volume) error{
	"garbled":            func(v *kubelet.Volume) error { return v.Write(map[string]string{"labels": "role=\"act"}) },
	"no labels":          func(v *kubelet.Volume) error { return v.Write(map[string]string{"other": "x"}) },
	"no directory":       func(v *kubelet.Volume) error { return os.RemoveAll(v.Dir()) },
	"data leads nowhere": func(v *kubelet.Volume) error { return relink(v, "..gone") },
	"a directory in place of the file": func(v *kubelet.Volume) error {
		if err := os.MkdirAll(filepath.Join(v.Dir(), "..odd", "labels"), 0o700); err != nil {
			return err
		}
		return relink(v, "..odd")
	},
}

func relink(v *kubelet.Volume, to string) error {
	tmp := filepath.Join(v.Dir(), "..data_tmp")
	if err := os.Symlink(to, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(v.Dir(), "..data"))
}

func TestUnreadableFilesKeepTheLastSnapshotForTheGrace(t *testing.T) {
	t.Parallel()
	for name, spoil := range spoilers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, cfg := volume(t, role("active"))
			cfg.Podinfo.Grace = 300 * time.Millisecond
			w := watcher(t, cfg)
			run(t, w)
			next(t, w)
			spoiled := time.Now()
			if err := spoil(v); err != nil {
				t.Fatal(err)
			}
			got := next(t, w)
			if kept := time.Since(spoiled); kept < cfg.Podinfo.Grace {
				t.Errorf("gave up after %s, want a grace of %s", kept, cfg.Podinfo.Grace)
			}
			want := Snapshot{Unreadable: true, Problem: got.Problem}
			if got != want || !strings.Contains(got.Problem, v.Dir()) || w.Health().Err == "" {
				t.Errorf("snapshot past the grace = %+v, health %+v", got, w.Health())
			}
			if err := os.RemoveAll(v.Dir()); err != nil {
				t.Fatal(err)
			}
			setLabels(t, v, role("preview"))
			if got := await(t, w, "role preview", func(s Snapshot) bool { return s.Role == "preview" }); got.Unreadable || got.Problem != "" {
				t.Errorf("snapshot once the files are back = %+v", got)
			}
			eventually(t, "health is good again", func() bool { h := w.Health(); return h.Err == "" && h.Watching })
		})
	}
}

func TestUnreadableFilesWithinTheGraceChangeNothing(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, role("active"))
	cfg.Podinfo.Grace = time.Hour
	w := watcher(t, cfg)
	run(t, w)
	next(t, w)
	good := w.Health().ReadAt
	if err := spoilers["garbled"](v); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the trouble is seen", func() bool { return strings.Contains(w.Health().Err, "line 1") })
	if h := w.Health(); !h.ReadAt.Equal(good) || h.Labels["role"] != "active" {
		t.Errorf("health = %+v, want the last good read at %s", h, good)
	}
	setLabels(t, v, role("preview"))
	if got := next(t, w); got.Role != "preview" {
		t.Errorf("snapshot after garbled files = %+v, want none in between", got)
	}
}

func TestMissingDirectoryAtStartIsIdleAndUnreadableAfterTheGrace(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, nil)
	cfg.Podinfo.Dir, cfg.Podinfo.Grace = v.Dir()+"-later", 300*time.Millisecond
	w := watcher(t, cfg)
	run(t, w)
	if got := next(t, w); got != (Snapshot{}) {
		t.Errorf("first snapshot = %+v, want the idle one", got)
	}
	if got := next(t, w); !got.Unreadable || !strings.Contains(got.Problem, "no such file") {
		t.Errorf("second snapshot = %+v, want an unreadable one", got)
	}
	setLabels(t, kubelet.New(cfg.Podinfo.Dir), role("active"))
	await(t, w, "role active", func(s Snapshot) bool { return s.Role == "active" })
}

func TestFixedRoleNeedsNoDirectory(t *testing.T) {
	t.Parallel()
	cfg := load(t, dsns, "UNDERSTUDY_PODINFO__ROLE=canary", "UNDERSTUDY_PODINFO__DIR=/nowhere")
	w := watcher(t, cfg)
	run(t, w)
	if got := next(t, w); got.Role != "canary" || got.Target.Name != "preview" || got.Problem != "" {
		t.Errorf("snapshot = %+v", got)
	}
	if h := w.Health(); h.Err != "" || !h.Watching || h.ReadAt.IsZero() {
		t.Errorf("health = %+v", h)
	}
}

func TestFixedRoleReadsTheLabelsOfASchemaTemplate(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, map[string]string{"role": "active", templateHashLabel: "6d4f9"})
	cfg.Podinfo.Role = "preview"
	cfg.change("preview", func(t *TargetConfig) { t.Schema = "preview_{" + templateHashLabel + "}" })
	w := watcher(t, cfg)
	run(t, w)
	if got := next(t, w); got.Role != "preview" || got.Target.Schema != "preview_6d4f9" || got.TemplateHash != "6d4f9" {
		t.Errorf("snapshot = %+v", got)
	}
	setLabels(t, v, map[string]string{"role": "active"})
	if got := next(t, w); got.Role != "preview" || !strings.Contains(got.Problem, "needs the pod's label") {
		t.Errorf("snapshot = %+v", got)
	}
}

// swapIn puts another directory in the place of dir in one step.
func swapIn(t *testing.T, dir string, labels map[string]string) {
	t.Helper()
	v := kubelet.New(dir + "-new")
	setLabels(t, v, labels)
	for _, move := range [][2]string{{dir, dir + "-old"}, {v.Dir(), dir}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(dir + "-old"); err != nil {
		t.Fatal(err)
	}
}

func TestWatchFollowsADirectoryThatIsRecreated(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, role("active"))
	w := watcher(t, cfg)
	run(t, w)
	next(t, w)
	for i := range 5 {
		rearms, name := w.Health().Rearms, fmt.Sprintf("r%d", i)
		if i%2 == 0 {
			swapIn(t, v.Dir(), role(name))
		} else {
			if err := os.RemoveAll(v.Dir()); err != nil {
				t.Fatal(err)
			}
			setLabels(t, v, role(name))
		}
		await(t, w, name, func(s Snapshot) bool { return s.Role == name })
		eventually(t, "the watch is set up anew", func() bool { h := w.Health(); return h.Watching && h.Rearms > rearms })
		setLabels(t, v, role(name+"-next")) // seen by an event of the new watch: there is no backstop here
		await(t, w, name+"-next", func(s Snapshot) bool { return s.Role == name+"-next" })
	}
}

func TestWatchFollowsADirectoryWhoseParentIsReplaced(t *testing.T) {
	t.Parallel()
	parent := filepath.Join(t.TempDir(), "parent")
	setLabels(t, kubelet.New(parent+"/podinfo"), role("active"))
	cfg := load(t, dsns)
	cfg.Podinfo.Dir = parent + "/podinfo"
	w := watcher(t, cfg)
	w.backstop = 20 * time.Millisecond // no event tells of a parent
	run(t, w)
	next(t, w)
	if err := os.Rename(parent, parent+"-old"); err != nil {
		t.Fatal(err)
	}
	setLabels(t, kubelet.New(cfg.Podinfo.Dir), role("preview"))
	await(t, w, "role preview", func(s Snapshot) bool { return s.Role == "preview" })
	eventually(t, "the new directory is watched", func() bool { h := w.Health(); return h.Watching && h.Rearms > 0 })
}

func TestBackstopSeesWhatNoEventTold(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, role("active"))
	w := watcher(t, cfg)
	w.hints.dirs = nil // watches nothing
	w.backstop = 20 * time.Millisecond
	run(t, w)
	next(t, w)
	setLabels(t, v, role("preview"))
	if got := next(t, w); got.Role != "preview" {
		t.Errorf("snapshot = %+v", got)
	}
}

func TestPlainFilesReplacedByRenameAreFollowed(t *testing.T) {
	t.Parallel()
	_, cfg := volume(t, nil)
	cfg.Podinfo.Dir = t.TempDir()
	writeFile(t, filepath.Join(cfg.Podinfo.Dir, "role"), "active\n")
	w := watcher(t, cfg)
	run(t, w)
	for _, want := range []string{"active", "preview", ""} {
		writeFile(t, filepath.Join(cfg.Podinfo.Dir, "role"), want)
		if got := next(t, w); got.Role != want {
			t.Errorf("snapshot = %+v, want role %q", got, want)
		}
	}
	writeFile(t, filepath.Join(cfg.Podinfo.Dir, "labels"), kubelet.Labels(role("stable")))
	if got := next(t, w); got.Role != "stable" {
		t.Errorf("snapshot = %+v, want the role of the labels file", got)
	}
}

// dsnOf is the DSN of the next snapshot.
func dsnOf(t *testing.T, w *Watcher) string { t.Helper(); return next(t, w).Target.DSN.Reveal() }

func TestRotatedDSNIsASnapshotOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, rotate := range map[string]func(t *testing.T, v *kubelet.Volume, dsn string){
		"mounted Secret": func(t *testing.T, v *kubelet.Volume, dsn string) {
			if err := v.Write(map[string]string{"dsn": dsn}); err != nil {
				t.Fatal(err)
			}
		},
		"plain file": func(t *testing.T, v *kubelet.Volume, dsn string) {
			if err := os.MkdirAll(v.Dir(), 0o700); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(v.Dir(), "dsn"), dsn)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, cfg := volume(t, role("active"))
			secret := kubelet.New(filepath.Join(t.TempDir(), "secret"))
			rotate(t, secret, "postgres://a\n")
			cfg.change("production", func(c *TargetConfig) { c.DSN, c.DSNFile = "", filepath.Join(secret.Dir(), "dsn") })
			w := watcher(t, cfg)
			run(t, w)
			for _, want := range []string{"postgres://a", "postgres://b", "postgres://c"} {
				rotate(t, secret, want+"\n")
				if got := dsnOf(t, w); got != want {
					t.Errorf("DSN = %q, want %q", got, want)
				}
			}
			rotate(t, secret, "") // unreadable: the last good one stays
			eventually(t, "the trouble is seen", func() bool { return strings.Contains(w.Health().Err, "is empty") })
			rotate(t, secret, "postgres://d")
			if got := dsnOf(t, w); got != "postgres://d" {
				t.Errorf("DSN = %q, want nothing between c and d", got)
			}
		})
	}
}

func TestDSNOfAnotherTargetIsKeptForWhenItIsWanted(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, role("active"))
	file := writeFile(t, filepath.Join(t.TempDir(), "dsn"), "postgres://a")
	cfg.change("preview", func(c *TargetConfig) { c.DSN, c.DSNFile = "", file })
	w := watcher(t, cfg)
	run(t, w)
	next(t, w)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss is seen", func() bool { return w.Health().Err != "" })
	setLabels(t, v, role("preview"))
	if got := dsnOf(t, w); got != "postgres://a" {
		t.Errorf("DSN = %q, want the last good one", got)
	}
}

func TestDSNFileThatNeverWasIsAProblem(t *testing.T) {
	t.Parallel()
	_, cfg := volume(t, role("active"))
	file := filepath.Join(t.TempDir(), "dsn")
	cfg.change("production", func(c *TargetConfig) { c.DSN, c.DSNFile = "", file })
	w := watcher(t, cfg)
	run(t, w)
	want := Snapshot{Role: "active", Target: Target{Name: "production"}, Problem: fmt.Sprintf(`role "active" has no target: target "production": dsn_file %q: no such file or directory: see that the Secret is mounted there, and has a key of that name`, file)}
	if diff := cmp.Diff(want, next(t, w)); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	writeFile(t, file, "postgres://a")
	if got := dsnOf(t, w); got != "postgres://a" {
		t.Errorf("DSN = %q", got)
	}
}

func TestTheFileOfTheMigrationsDSNIsNothingToASnapshot(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, role("preview"))
	secret := kubelet.New(filepath.Join(t.TempDir(), "secret")) // not there: workers that do not migrate need not mount it
	cfg.change("preview", func(c *TargetConfig) { c.MigrateDSNFile = filepath.Join(secret.Dir(), "dsn") })
	w := watcher(t, cfg)
	w.backstop = time.Millisecond
	run(t, w)
	before := next(t, w)
	if before.Target.MigrateDSNFile != filepath.Join(secret.Dir(), "dsn") || before.Problem != "" || w.Health().Err != "" {
		t.Errorf("snapshot %+v, health %+v", before, w.Health())
	}
	for _, dsn := range []string{"postgres://m:old@db/x", "postgres://m:new@db/x", "nonsense"} {
		if err := secret.Write(map[string]string{"dsn": dsn}); err != nil {
			t.Fatal(err)
		}
		changed := time.Now()
		eventually(t, "all is read again", func() bool { return w.Health().ReadAt.After(changed) })
	}
	setLabels(t, v, role("canary"))
	want := before
	want.Role = "canary"
	if diff := cmp.Diff(want, next(t, w)); diff != "" {
		t.Errorf("the next snapshot (-want +got):\n%s", diff)
	}
}

func TestHealthLabelsAreACopy(t *testing.T) {
	t.Parallel()
	_, cfg := volume(t, role("active"))
	w := watcher(t, cfg)
	run(t, w)
	next(t, w)
	w.Health().Labels["role"] = "mine"
	if got := w.Health().Labels["role"]; got != "active" {
		t.Errorf("a caller changed the labels to %q", got)
	}
}

func TestHealthShowsNoFileThatIsNotALabel(t *testing.T) {
	t.Parallel()
	_, cfg := volume(t, nil)
	cfg.Podinfo.Dir = t.TempDir()
	writeFile(t, filepath.Join(cfg.Podinfo.Dir, "role"), "active")
	writeFile(t, filepath.Join(cfg.Podinfo.Dir, "password"), "hunter2")
	w := watcher(t, cfg)
	run(t, w)
	next(t, w)
	want := map[string]string{"role": "active"}
	if diff := cmp.Diff(want, w.Health().Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

// buffer is a buffer that a logger and a test may use at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestLogTellsOfTroubleOnceAndOfNoSecret(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, role("active"))
	file := writeFile(t, filepath.Join(t.TempDir(), "dsn"), "postgres://app:hunter2@db/x")
	cfg.change("production", func(c *TargetConfig) { c.DSN, c.DSNFile = "", file })
	var log buffer
	w, err := NewWatcher(cfg, slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	w.backstop = time.Millisecond // many reads of the same trouble
	stop := run(t, w)
	eventually(t, "there is a read", func() bool { return !w.Health().ReadAt.IsZero() })
	first := w.Health().ReadAt
	eventually(t, "there are more", func() bool { return w.Health().ReadAt.Sub(first) > 10*w.backstop })
	next(t, w)
	writeFile(t, file, "postgres://app:hunter2@db/x\nhunter2")
	eventually(t, "trouble is seen", func() bool { return w.Health().Err != "" })
	setLabels(t, v, role("preview"))
	next(t, w)
	writeFile(t, file, "postgres://app:hunter2@db/y")
	eventually(t, "trouble is over", func() bool { return w.Health().Err == "" })
	stop()
	if got := log.String(); strings.Contains(got, "hunter2") || strings.Count(got, "trouble with files") != 1 || strings.Count(got, "again") != 1 || strings.Count(got, `"msg":"snapshot"`) != 2 {
		t.Errorf("log:\n%s", got)
	}
}

func TestASnapshotIsAWarningWhereItHasAProblem(t *testing.T) {
	t.Parallel()
	v, cfg := volume(t, role("active"))
	var log buffer
	w, err := NewWatcher(cfg, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, w)
	next(t, w)
	setLabels(t, v, role("spare"))
	next(t, w)
	stop()
	if got := log.String(); strings.Count(got, "msg=snapshot") != 1 || !strings.Contains(got, "role=spare") {
		t.Errorf("log:\n%s", got)
	}
}

func TestWatcherIsRefusedWithoutWhatItNeeds(t *testing.T) {
	t.Parallel()
	if _, err := NewWatcher(load(t, dsns), nil); err == nil || !strings.Contains(err.Error(), "logger") {
		t.Errorf("NewWatcher without logger: %v", err)
	}
	if _, err := NewWatcher(Config{}, discard); err == nil || !strings.Contains(err.Error(), "podinfo") {
		t.Errorf("NewWatcher of an empty configuration: %v", err)
	}
}
