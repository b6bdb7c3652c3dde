package rollout

import (
	"errors"
	"testing"
	"time"
)

func TestTheDelaysMakeOverlapAndGap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		label, remove time.Duration
		want          []string
	}{
		"overlap": {time.Second, time.Minute, []string{
			" 0.00 Service active -> 2", " 1.00 2 active", "61.00 1 without a role", "91.00 1 SIGTERM",
		}},
		"gap": {10 * time.Second, -8 * time.Second, []string{
			" 0.00 Service active -> 2", " 2.00 1 without a role", "10.00 2 active", "40.00 1 SIGTERM",
		}},
		"a gap that begins with the Service's switch": {time.Second, -time.Minute, []string{
			" 0.00 Service active -> 2", " 0.00 1 without a role", " 1.00 2 active", "31.00 1 SIGTERM",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, func(t *testing.T, stage *fakeStage) {
				b := begin(t, stage, Options{LabelDelay: c.label, RemoveDelay: c.remove})
				promote(t, b)
				time.Sleep(time.Hour)
				expect(t, stage.noted(), c.want...)
			})
		})
	}
}

func TestKubeletsThatLagLeaveNobodyActive(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		stage.lag = map[string]time.Duration{"2": 3 * time.Second}
		promote(t, begin(t, stage, Options{}))
		expect(t, stage.noted(), " 0.00 Service active -> 2", " 0.40 1 without a role", " 3.30 2 active")
	})
}

func TestWhileTheControllerIsDownNothingChanges(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		b := begin(t, stage, Options{})
		promoted := make(chan error, 1)
		go func() {
			_, _, err := b.Promote(t.Context())
			promoted <- err
		}()
		time.Sleep(350 * time.Millisecond) // between the two labels
		b.Freeze()
		time.Sleep(time.Minute)
		b.Thaw()
		if err := <-promoted; err != nil {
			t.Error(err)
		}
		b.Freeze()
		time.Sleep(time.Minute) // over the time of the scale-down
		b.Thaw()
		time.Sleep(time.Second)
		expect(t, stage.noted(),
			" 0.00 Service active -> 2", " 0.30 2 active", "60.35 1 without a role", "120.35 1 SIGTERM")
	})
}

func TestNoStepBeginsWhileTheControllerIsDown(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]act{
		"deploy": deploy("3"), "promote": promote, "abort": abort,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, func(t *testing.T, stage *fakeStage) {
				b := begin(t, stage, Options{})
				b.Freeze()
				b.Freeze() // once is enough
				time.AfterFunc(time.Minute, b.Thaw)
				step(t, b)
				for _, note := range stage.noted() {
					if note < "60.00" {
						t.Errorf("it happened: %s", note)
					}
				}
				if got := time.Since(stage.start); got < time.Minute {
					t.Errorf("done after %s", got)
				}
			})
		})
	}
}

func TestAStepDoesNotWaitForTheControllerForEver(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		b := begin(t, stage, Options{})
		b.Freeze()
		if _, _, err := b.Promote(impatient(t)); !errors.Is(err, errEnough) {
			t.Errorf("error %v, want %v", err, errEnough)
		}
		if b.Active().Version != "1" || b.Preview().Version != "2" {
			t.Errorf("version %s is active and %s in preview", b.Active().Version, b.Preview().Version)
		}
	})
}

func TestAScaleDownThatWaitsForTheControllerCanBeTakenBack(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		b := begin(t, stage, Options{})
		promote(t, b)
		b.Freeze()
		time.Sleep(time.Hour)
		b.Close()
		stage.again()
		b.Thaw()
		time.Sleep(time.Hour)
		expect(t, stage.noted())
	})
}
