package rollout

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// beginCanary is a rollout with version 1 stable and 2 as the canary, at time zero.
func beginCanary(t *testing.T, stage *fakeStage, replicas int, steps ...int) *Canary {
	t.Helper()
	c := NewCanary(Options{
		Stage: stage, Replicas: replicas, Steps: steps, ScaleDownDelay: 30 * time.Second, AbortScaleDownDelay: 20 * time.Second,
	})
	t.Cleanup(c.Close)
	deployCanary(t, c, "1")
	stage.again()
	deployCanary(t, c, "2")
	return c
}

func deployCanary(t *testing.T, c *Canary, version string) {
	t.Helper()
	if err := c.Deploy(t.Context(), revision(version)); err != nil {
		t.Fatal(err)
	}
}

// next promotes, which must be the last step or not.
func next(t *testing.T, c *Canary, last bool) {
	t.Helper()
	if done, err := c.Promote(t.Context()); err != nil || done != last {
		t.Fatalf("done %v, error %v, want done %v", done, err, last)
	}
}

func TestACanaryIsCanaryUntilAllStepsAreDone(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		c := beginCanary(t, stage, 2, 1, 2)
		time.Sleep(5 * time.Second)
		next(t, c, false)
		time.Sleep(5 * time.Second)
		next(t, c, true)
		time.Sleep(time.Minute)
		expect(t, stage.sorted(),
			" 0.00 2 born canary", " 0.00 Service canary -> 2",
			" 5.00 2/2 born canary", " 5.00 Service canary -> 2 2/2",
			"10.00 Service canary -> 2 2/2", "10.00 Service stable -> 2 2/2", "10.30 2 stable", "10.30 2/2 stable",
			"10.40 1 without a role", "10.40 1/2 without a role", "40.40 1 SIGTERM", "40.40 1/2 SIGTERM")
		if c.Stable().Version != "2" || c.Canary() != nil {
			t.Errorf("stable %v, canary %v", c.Stable(), c.Canary())
		}
	})
}

func TestTheFirstVersionIsStableFromBirth(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		deployCanary(t, NewCanary(Options{Stage: stage, Steps: []int{1}}), "1")
		expect(t, stage.noted(), " 0.00 1 born stable", " 0.00 Service stable -> 1", " 0.00 Service canary -> 1")
	})
}

func TestAnAbortedCanaryLeavesTheStablePodsAlone(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		c := beginCanary(t, stage, 2, 1)
		one := c.Stable()
		stage.again()
		given, err := c.Abort(t.Context())
		if err != nil || given.Version != "2" || c.Stable() != one || c.Canary() != nil {
			t.Errorf("given up %v, error %v; stable %v, canary %v", given, err, c.Stable(), c.Canary())
		}
		time.Sleep(time.Minute)
		expect(t, stage.noted(), "20.00 2 SIGTERM")
	})
}

func TestAnotherCanaryReplacesTheFirstWhichRunsOnWithoutARole(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		c := beginCanary(t, stage, 2, 1)
		stage.again()
		deployCanary(t, c, "3")
		time.Sleep(time.Minute)
		expect(t, stage.noted(),
			" 0.00 2 without a role", " 0.00 3 born canary", " 0.00 Service canary -> 3", "30.00 2 SIGTERM")
	})
}

func TestACanarySkipsItsStepsIfToldToOrWithoutAny(t *testing.T) {
	t.Parallel()
	want := []string{
		" 0.00 2 born canary", " 0.00 Service canary -> 2", " 0.00 Service stable -> 2",
		" 0.30 2 stable", " 0.40 1 without a role",
	}
	play(t, func(t *testing.T, stage *fakeStage) {
		beginCanary(t, stage, 1)
		expect(t, stage.noted(), want...)
	})
	play(t, func(t *testing.T, stage *fakeStage) {
		c := beginCanary(t, stage, 1, 0, 1)
		stage.again()
		if err := c.PromoteFull(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, stage.noted(), want...)
	})
}

func TestAStepDownEndsPodsAndNoStepComesBeforeAllAreReady(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		stage.unready = map[string]time.Duration{"2/2": 3 * time.Second}
		c := beginCanary(t, stage, 2, 2, 0)
		stage.again()
		next(t, c, false)
		expect(t, stage.sorted(), " 3.00 2 SIGTERM", " 3.00 2/2 SIGTERM", " 3.00 Service canary -> nobody")
	})
}

func TestWhatACanaryCannotDoIsAnError(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		c := beginCanary(t, stage, 1) // which is stable at once
		var cannot Impossible
		if _, err := c.Promote(t.Context()); !errors.As(err, &cannot) {
			t.Errorf("promote: error %v", err)
		}
		if err := c.PromoteFull(t.Context()); !errors.As(err, &cannot) {
			t.Errorf("promote --full: error %v", err)
		}
		if _, err := c.Abort(t.Context()); !errors.As(err, &cannot) {
			t.Errorf("abort: error %v", err)
		}
		err := NewCanary(Options{Stage: stage, Steps: []int{1, 2}}).Deploy(t.Context(), revision("1"))
		if want := "step 2 of the canary has 2 pods: use 0 to 1"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	})
}
