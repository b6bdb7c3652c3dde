package rollout

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/internal/pause"
)

// act is a thing that a test does with a rollout.
type act func(t *testing.T, b *BlueGreen)

func deploy(version string) act {
	return func(t *testing.T, b *BlueGreen) {
		if err := b.Deploy(t.Context(), revision(version)); err != nil {
			t.Fatal(err)
		}
	}
}

func promote(t *testing.T, b *BlueGreen) {
	if _, _, err := b.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func promoteFull(t *testing.T, b *BlueGreen) {
	if _, _, err := b.PromoteFull(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func undo(t *testing.T, b *BlueGreen) {
	if _, _, err := b.Undo(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func abort(t *testing.T, b *BlueGreen) {
	if _, err := b.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wait(d time.Duration) act {
	return func(*testing.T, *BlueGreen) { time.Sleep(d) }
}

// down makes the pod of version 1, which was ready, not ready for a while.
func down(d time.Duration) act {
	return func(_ *testing.T, b *BlueGreen) {
		b.options.Stage.(*fakeStage).pods["1"].down = time.Now().Add(d)
	}
}

// begin is a rollout with version 1 active and 2 in preview, at time zero.
func begin(t *testing.T, stage *fakeStage, o Options) *BlueGreen {
	t.Helper()
	o.Stage, o.ScaleDownDelay, o.AbortScaleDownDelay = stage, 30*time.Second, 20*time.Second
	b := NewBlueGreen(o)
	t.Cleanup(b.Close)
	deploy("1")(t, b)
	deploy("2")(t, b)
	stage.again()
	return b
}

// The rows of the table of label histories, measured on a cluster with Argo
// Rollouts 1.10: see the package's comments on its delays.
func TestLabelsChangeAsArgoRolloutsChangesThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		acts     []act
		unready  time.Duration // of version 2
		analysis func(ctx context.Context) error
		want     []string
	}{
		"promoted: both are active, then the old role's key is gone, then SIGTERM": {
			acts: []act{promote, wait(time.Minute)},
			want: []string{
				" 0.00 Service active -> 2", " 0.30 2 active", " 0.40 1 without a role", "30.40 1 SIGTERM",
			},
		},
		"post-promotion analysis: the active Service leads to pods that are in preview still": {
			acts:     []act{promote, wait(time.Minute)},
			analysis: analysis(5*time.Second, nil),
			want: []string{
				" 0.00 Service active -> 2", " 5.30 2 active", " 5.40 1 without a role", "35.40 1 SIGTERM",
			},
		},
		"promote --full skips the analysis": {
			acts:     []act{promoteFull, wait(time.Minute)},
			analysis: analysis(5*time.Second, nil),
			want: []string{
				" 0.00 Service active -> 2", " 0.30 2 active", " 0.40 1 without a role", "30.40 1 SIGTERM",
			},
		},
		"abort: preview until SIGTERM, the active one untouched": {
			acts: []act{abort, wait(time.Minute)},
			want: []string{"20.00 2 SIGTERM"},
		},
		"a third version replaces the second, which runs on without a role": {
			acts: []act{deploy("3"), wait(time.Minute)},
			want: []string{
				" 0.00 3 born preview", " 0.00 Service preview -> 3", " 0.00 2 without a role", "30.00 2 SIGTERM",
			},
		},
		"a third version after an abort takes the second's role": {
			acts: []act{abort, wait(10 * time.Second), deploy("3"), wait(time.Minute)},
			want: []string{
				"10.00 3 born preview", "10.00 Service preview -> 3", "10.00 2 without a role", "20.00 2 SIGTERM",
			},
		},
		"a third version after the second has ended finds no role to take": {
			acts: []act{abort, wait(time.Minute), deploy("3")},
			want: []string{"20.00 2 SIGTERM", "60.00 3 born preview", "60.00 Service preview -> 3"},
		},
		"fast rollback: the old pod, still there without a role, is in preview for a moment; no analysis": {
			acts:     []act{promoteFull, wait(5 * time.Second), undo, wait(time.Minute)},
			analysis: analysis(time.Second, nil),
			want: []string{
				" 0.00 Service active -> 2", " 0.30 2 active", " 0.40 1 without a role",
				" 5.40 1 preview", " 5.40 Service preview -> 1", " 5.40 Service active -> 1", " 5.70 1 active",
				" 5.80 2 without a role", "35.80 2 SIGTERM",
			},
		},
		"fast rollback to a pod that is not ready: a rollout as any, which waits in preview, and analysis": {
			acts:     []act{promoteFull, wait(5 * time.Second), down(2 * time.Second), undo, wait(time.Minute)},
			analysis: analysis(time.Second, nil),
			want: []string{
				" 0.00 Service active -> 2", " 0.30 2 active", " 0.40 1 without a role",
				" 5.40 1 preview", " 5.40 Service preview -> 1", " 7.40 Service active -> 1", " 8.70 1 active",
				" 8.80 2 without a role", "38.80 2 SIGTERM",
			},
		},
		"undo after the scale-down: born with no role for a second, preview, active": {
			acts: []act{promote, wait(time.Minute), undo, wait(time.Minute)},
			want: []string{
				" 0.00 Service active -> 2", " 0.30 2 active", " 0.40 1 without a role", "30.40 1 SIGTERM",
				"60.40 1/2 born without a role", "61.40 1/2 preview", "61.40 Service preview -> 1/2",
				"61.40 Service active -> 1/2", "61.70 1/2 active", "61.80 2 without a role", "91.80 2 SIGTERM",
			},
		},
		"promote after an undo brings back what was undone": {
			acts: []act{promote, undo, promote, wait(time.Minute)},
			want: []string{
				" 0.00 Service active -> 2", " 0.30 2 active", " 0.40 1 without a role",
				" 0.40 1 preview", " 0.40 Service preview -> 1", " 0.40 Service active -> 1", " 0.70 1 active", " 0.80 2 without a role",
				" 0.80 2 preview", " 0.80 Service preview -> 2", " 0.80 Service active -> 2", " 1.10 2 active", " 1.20 1 without a role",
				"31.20 1 SIGTERM",
			},
		},
		"no Service leads to a pod that is not ready, and no label says so": {
			acts:    []act{promote, wait(time.Minute)},
			unready: 2 * time.Second,
			want: []string{
				" 2.00 Service active -> 2", " 2.30 2 active", " 2.40 1 without a role", "32.40 1 SIGTERM",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, func(t *testing.T, stage *fakeStage) {
				stage.unready = map[string]time.Duration{"2": c.unready}
				b := begin(t, stage, Options{PostPromotion: c.analysis})
				for _, a := range c.acts {
					a(t, b)
				}
				expect(t, stage.noted(), c.want...)
			})
		})
	}
}

// analysis takes a while and comes to that.
func analysis(d time.Duration, outcome error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := pause.For(ctx, d); err != nil {
			return err
		}
		return outcome
	}
}

func TestTheFirstVersionIsActiveFromBirth(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		deploy("1")(t, NewBlueGreen(Options{Stage: stage}))
		expect(t, stage.noted(), " 0.00 1 born active", " 0.00 Service active -> 1", " 0.00 Service preview -> 1")
	})
}

func TestAFailedAnalysisTakesTheServiceBackAndTouchesNoLabel(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		bad := errors.New("error rate 12 %")
		b := begin(t, stage, Options{PostPromotion: analysis(5*time.Second, bad)})
		one := b.Active()
		_, to, err := b.Promote(t.Context())
		if !errors.Is(err, bad) || err.Error() != "version 2 is given up after its analysis: error rate 12 %" {
			t.Errorf("error %v, want the analysis's", err)
		}
		if to.Version != "2" || b.Active() != one || b.Preview() != nil {
			t.Errorf("%v was to be active; is %v, with %v in preview", to, b.Active(), b.Preview())
		}
		time.Sleep(time.Minute)
		expect(t, stage.noted(), " 0.00 Service active -> 2", " 5.00 Service active -> 1", "25.00 2 SIGTERM")
	})
}

func TestAVersionIsActiveOnlyWhenAllIsDone(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		var during [2]*Revision
		var b *BlueGreen
		b = begin(t, stage, Options{PostPromotion: func(context.Context) error {
			during = [...]*Revision{b.Active(), b.Preview()}
			return nil
		}})
		before := [...]*Revision{b.Active(), b.Preview()}
		promote(t, b)
		if during != before || b.Active() != before[1] || b.Preview() != nil {
			t.Errorf("active and in preview: %v before, %v during the analysis, then %v and %v", before, during, b.Active(), b.Preview())
		}
	})
}

func TestAnUndoneVersionWhoseAnalysisFailsIsNotPromotedAgain(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		outcomes := []error{nil, nil, errors.New("bad")}
		b := begin(t, stage, Options{PostPromotion: func(context.Context) error {
			next := outcomes[0]
			outcomes = outcomes[1:]
			return next
		}})
		for _, a := range []act{promote, wait(time.Minute), undo, wait(time.Minute)} {
			a(t, b)
		}
		if _, _, err := b.Promote(t.Context()); err == nil {
			t.Fatal("the analysis did not count")
		}
		var cannot Impossible
		if _, _, err := b.Promote(t.Context()); !errors.As(err, &cannot) {
			t.Errorf("error %v, want that nothing is in preview", err)
		}
		if b.Active().Version != "1" {
			t.Errorf("version %s is active, want 1", b.Active().Version)
		}
	})
}
