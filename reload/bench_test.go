package reload

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/internal/kubelet"
)

// BenchmarkRenameToSnapshot measures from the rename onto ..data to the
// Snapshot in a receiver's hands. Between two swaps it waits until the first
// event acts at once again, as between a kubelet's, which are far apart.
func BenchmarkRenameToSnapshot(b *testing.B) {
	v, cfg := volume(b, role("active"))
	for _, name := range []string{"active", "preview"} {
		dir := filepath.Join(v.Dir(), "..version_"+name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, labelsFile), []byte(kubelet.Labels(role(name))), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	w := watcher(b, cfg)
	run(b, w)
	next(b, w)
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		time.Sleep(2 * settle)
		to := []string{"preview", "active"}[len(took)%2]
		tmp := filepath.Join(v.Dir(), "..data_tmp")
		if err := os.Symlink("..version_"+to, tmp); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		start := time.Now()
		if err := os.Rename(tmp, filepath.Join(v.Dir(), "..data")); err != nil {
			b.Fatal(err)
		}
		if got := next(b, w); got.Role != to {
			b.Fatalf("snapshot %+v, want role %q", got, to)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	for _, p := range []int{50, 99, 100} {
		b.ReportMetric(float64(took[(len(took)-1)*p/100].Microseconds()), fmt.Sprintf("p%d-µs", p))
	}
}

// BenchmarkReadPod measures one consistent read.
func BenchmarkReadPod(b *testing.B) {
	v, cfg := volume(b, role("active"))
	for b.Loop() {
		if _, err := ReadPod(v.Dir(), cfg.singleFiles()...); err != nil {
			b.Fatal(err)
		}
	}
}
