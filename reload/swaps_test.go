package reload

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// levels counts what a leak would raise: goroutines and open descriptors.
type levels struct{ goroutines, descriptors int }

func measure(t *testing.T) levels {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("descriptors cannot be counted here: %v", err)
	}
	return levels{runtime.NumGoroutine(), len(open)}
}

// settlesAt waits until the levels are no higher than they should be.
func settlesAt(t *testing.T, when string, want levels) {
	t.Helper()
	var got levels
	eventually(t, fmt.Sprintf("%s: levels back at %+v", when, want), func() bool {
		got = measure(t)
		return got.goroutines <= want.goroutines && got.descriptors <= want.descriptors
	})
}

// TestLastOfManySwapsIsNeverMissed swaps the volume 2,000 times in a tight
// loop, in rounds. The last role of each round must come, without a backstop,
// and no snapshot may be of a pod without role or of two versions at once. It
// does not run beside other tests: it counts the process's descriptors.
func TestLastOfManySwapsIsNeverMissed(t *testing.T) {
	const rounds, swaps = 20, 100
	before := measure(t)
	version := func(n int) map[string]string {
		return map[string]string{"role": fmt.Sprintf("r%d", n), templateHashLabel: fmt.Sprint(n), "zzz": "last"}
	}
	v, cfg := volume(t, version(0))
	w := watcher(t, cfg)
	stop := run(t, w)
	next(t, w)
	running := measure(t)
	seen, slowest := 1, time.Duration(0)
	for n := 1; n <= rounds*swaps; n++ {
		setLabels(t, v, version(n))
		if n%swaps != 0 {
			continue
		}
		written, last := time.Now(), fmt.Sprintf("r%d", n)
		await(t, w, last, func(s Snapshot) bool {
			seen++
			if s.Role != "r"+s.TemplateHash || s.Unreadable {
				t.Errorf("snapshot %+v is of no version that was written", s)
			}
			return s.Role == last
		})
		slowest = max(slowest, time.Since(written))
	}
	settlesAt(t, "after the swaps", running)
	stop()
	settlesAt(t, "after Run", before)
	if h := w.Health(); h.Err != "" || h.Rearms != 0 {
		t.Errorf("health = %+v, want no trouble and no watch that broke", h)
	}
	t.Logf("%d swaps, %d snapshots taken, the last of a round after at most %s", rounds*swaps, seen, slowest)
}
