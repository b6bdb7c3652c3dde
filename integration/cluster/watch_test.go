//go:build cluster

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// rollout is what the tests look at of a Rollout.
type rollout struct {
	Metadata struct{ Generation int64 }
	Status   struct {
		Phase, Message     string
		ObservedGeneration string
		CurrentPodHash     string
		StableRS           string
		CurrentStepIndex   int
		AvailableReplicas  int
		Abort              bool
		BlueGreen          struct{ ActiveSelector string }
	}
}

func (r rollout) String() string {
	s := r.Status
	return fmt.Sprintf("%s (%s), revision %s, stable %s, step %d, aborted %t", s.Phase, s.Message, s.CurrentPodHash, s.StableRS, s.CurrentStepIndex, s.Abort)
}

// seen says whether the controller has looked at what was applied last.
func (r rollout) seen() bool {
	return r.Status.ObservedGeneration == strconv.FormatInt(r.Metadata.Generation, 10)
}

// healthy says whether the revision that was applied last is all there is.
func (r rollout) healthy() bool {
	return r.seen() && r.Status.Phase == "Healthy" && r.Status.StableRS == r.Status.CurrentPodHash
}

// paused says whether the revision that was applied last waits for a person.
func (r rollout) paused() bool {
	return r.seen() && r.Status.Phase == "Paused" && r.Status.StableRS != r.Status.CurrentPodHash
}

// degraded says whether it has failed.
func (r rollout) degraded() bool { return r.seen() && r.Status.Phase == "Degraded" }

// watch follows a Rollout.
type watch struct {
	mu      sync.Mutex
	latest  rollout
	changed chan struct{} // closed at the next change
	err     error         // what ended it
}

// watch follows the deployment's Rollout until the test ends.
func (d *deployment) watch() *watch {
	d.t.Helper()
	w := &watch{changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.WithoutCancel(d.t.Context()))
	cmd := exec.CommandContext(ctx, "kubectl", "get", "rollouts", "--namespace", d.namespace, "-o", "json", "--watch")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		d.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.end(errors.Join(w.follow(out), cmd.Wait()))
	}()
	d.t.Cleanup(func() { cancel(); <-done })
	return w
}

// follow notes what it reads until that ends.
func (w *watch) follow(out io.Reader) error {
	decoder := json.NewDecoder(out)
	for {
		var r rollout
		if err := decoder.Decode(&r); err != nil {
			return err
		}
		w.mu.Lock()
		w.latest = r
		close(w.changed)
		w.changed = make(chan struct{})
		w.mu.Unlock()
	}
}

func (w *watch) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	close(w.changed)
}

// now is how the Rollout stands, and what tells of the next change.
func (w *watch) now() (r rollout, changed <-chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest, w.changed, w.err
}

// await waits until the Rollout is so, or ends the test.
func (d *deployment) await(what string, is func(rollout) bool) rollout {
	d.t.Helper()
	deadline := time.NewTimer(stepTimeout)
	defer deadline.Stop()
	for {
		r, changed, err := d.rollout.now()
		switch {
		case is(r):
			return r
		case err != nil:
			d.t.Fatalf("waiting for the rollout to be %s: the watch ended: %v", what, err)
		}
		select {
		case <-changed:
		case <-d.t.Context().Done():
			d.t.Fatal(context.Cause(d.t.Context()))
		case <-deadline.C:
			d.t.Fatalf("waited %s for the rollout to be %s; now: %s", stepTimeout, what, r)
		}
	}
}
