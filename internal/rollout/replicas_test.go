package rollout

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestEveryReplicaIsLabelledByItself(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		stage.lag = map[string]time.Duration{"2/2": 10 * time.Second}
		b := begin(t, stage, Options{Replicas: 3})
		promote(t, b)
		if got := time.Since(stage.start); got < 10*time.Second {
			t.Errorf("done after %s: the slow pod was not waited for", got)
		}
		time.Sleep(time.Minute)
		expect(t, stage.sorted(),
			" 0.00 Service active -> 2 2/2 2/3", " 0.30 2 active", " 0.30 2/3 active",
			" 0.40 1 without a role", " 0.40 1/2 without a role", " 0.40 1/3 without a role", "10.30 2/2 active",
			"30.40 1 SIGTERM", "30.40 1/2 SIGTERM", "30.40 1/3 SIGTERM")
	})
}

func TestOneReplicaThatIsNotReadyKeepsAllInPreview(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		b := begin(t, stage, Options{Replicas: 2})
		promote(t, b)
		down(3*time.Second)(t, b)
		stage.again()
		undo(t, b)
		expect(t, stage.sorted(),
			" 0.00 1 preview", " 0.00 1/2 preview", " 0.00 Service preview -> 1 1/2",
			" 3.00 Service active -> 1 1/2", " 3.30 1 active", " 3.30 1/2 active",
			" 3.40 2 without a role", " 3.40 2/2 without a role")
	})
}

func TestAPodThatCannotBeMadeOrLabelledIsAnError(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		full := errors.New("disk full")
		stage.broken = map[string]error{"3/2": full}
		b := begin(t, stage, Options{Replicas: 2})
		if err := b.Deploy(t.Context(), revision("3")); !errors.Is(err, full) || err.Error() != "start version 3: disk full" {
			t.Errorf("error %v, want the birth's", err)
		}
	})
	play(t, func(t *testing.T, stage *fakeStage) {
		b := begin(t, stage, Options{Replicas: 2})
		full := errors.New("disk full")
		stage.broken = map[string]error{"2/2": full}
		if _, _, err := b.Promote(t.Context()); !errors.Is(err, full) {
			t.Errorf("error %v, want the label's", err)
		}
	})
}

func TestAClosedRolloutEndsNoPodAnyMore(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		b := begin(t, stage, Options{})
		promote(t, b)
		b.Close()
		stage.again()
		time.Sleep(time.Hour)
		expect(t, stage.noted())
	})
}

func TestTheEndOfARolloutWaitsForAScaleDownUnderWay(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		stage.signal = 5 * time.Second
		b := begin(t, stage, Options{})
		abort(t, b)
		time.Sleep(21 * time.Second)
		b.Close()
		expect(t, stage.noted(), "25.00 2 SIGTERM")
	})
}

var errEnough = errors.New("enough")

// impatient is a context that ends after a minute.
func impatient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errEnough)
	t.Cleanup(cancel)
	return ctx
}

func TestAPauseThatIsCutShortSaysWhy(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		stage.unready = map[string]time.Duration{"2": time.Hour}
		b := begin(t, stage, Options{})
		_, _, err := b.Promote(impatient(t))
		if want := "wait until version 2 is ready: enough"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

func TestAHandOverThatIsCutShortWaitsForTheLabelsUnderWay(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, stage *fakeStage) {
		stage.lag = map[string]time.Duration{"2": time.Hour}
		b := begin(t, stage, Options{RemoveDelay: time.Hour})
		if _, _, err := b.Promote(impatient(t)); !errors.Is(err, errEnough) {
			t.Errorf("error %v, want %v", err, errEnough)
		}
		time.Sleep(3 * time.Hour) // nothing comes after
		expect(t, stage.noted(), " 0.00 Service active -> 2")
	})
}
