package integration_test

import (
	"testing"
	"time"

	"github.com/understudy-worker/understudy/internal/rollout"
)

// These play every row of the table of labels that Argo Rollouts gives, as it
// was measured on a cluster.

func TestEveryVersionOfABlueGreenRolloutWorksWhereItsLabelSays(t *testing.T) {
	t.Parallel()
	inBothLayouts(t, func(s *stage) {
		b := newBlueGreen(s, rollout.Options{ScaleDownDelay: runOn, AbortScaleDownDelay: runOn})
		b.first()
		b.promoted()
		b.replaced()
		b.aborted()
		b.undone()
	})
}

// promoted: while the new pods are analysed the active Service leads to them,
// and they are in preview still.
func (b *blueGreen) promoted() {
	b.t.Helper()
	b.analysis = func() {
		b.routed(rollout.RoleActive, "2.0")
		b.active("1.0")
		b.inPreview("2.0")
	}
	b.do(b.promote(b.t.Context()))
	b.Freeze() // or the old pods end before they are looked at
	b.active("2.0")
	b.idle("1.0")
	b.nobody(b.preview())
	b.Thaw()
	b.ended("1.0")
	b.had("1.0", "active", "")
	b.had("2.0", "preview", "active")
}

// replaced: a third version takes the preview from the second.
func (b *blueGreen) replaced() {
	b.t.Helper()
	b.deploy("3.0")
	b.inPreview("3.0")
	b.deploy("4.0")
	b.Freeze()
	b.inPreview("4.0")
	b.idle("3.0")
	b.active("2.0")
	b.Thaw()
	b.ended("3.0")
}

// aborted: the pods in preview run on, with their label, until they are
// scaled down.
func (b *blueGreen) aborted() {
	b.t.Helper()
	_, err := b.Abort(b.t.Context())
	b.do(err)
	b.Freeze()
	b.inPreview("4.0")
	b.active("2.0")
	b.Thaw()
	b.ended("4.0")
	b.had("4.0", "preview")
	b.nobody(b.preview())
	b.active("2.0")
}

// undone: the old version's pods are born again, without a role.
func (b *blueGreen) undone() {
	b.t.Helper()
	b.analysis = func() {
		b.active("2.0")
		b.inPreview("1.0")
	}
	b.do(b.undo(b.t.Context()))
	b.active("1.0")
	b.had("1.0", "", "preview", "active")
	b.had("2.0", "preview", "active", "")
	b.nobody(b.preview())
	b.ended("2.0")
}

func TestAFastRollbackHasItsOldPodsBackAtOnceUnlessOneIsNotAvailable(t *testing.T) {
	t.Parallel()
	inBothLayouts(t, func(s *stage) {
		b := newBlueGreen(s, rollout.Options{ScaleDownDelay: time.Hour})
		b.first()
		_, _, err := b.PromoteFull(t.Context())
		b.do(err)
		b.active("2.0")
		b.idle("1.0")
		b.do(b.undo(t.Context()))
		b.active("1.0")
		b.idle("2.0")
		b.had("1.0", "active", "", "preview", "active")
		b.do(b.promote(t.Context())) // back to what was undone, as fast
		b.active("2.0")
		b.idle("1.0")
		if b.analyses != 0 {
			t.Errorf("%d analyses, want none: promote --full and fast rollbacks skip it", b.analyses)
		}
		b.slowRollback()
	})
}

// slowRollback: one of the old pods has no process, and so all of them wait in
// preview.
func (b *blueGreen) slowRollback() {
	b.t.Helper()
	broken := b.pods("1.0")[0]
	broken.process().kill()
	b.while(b.undo, func() {
		b.works(b.preview(), "1.0", rollout.RolePreview, 1)
		b.active("2.0")
		b.do(broken.start())
	})
	b.active("1.0")
	b.idle("2.0")
	if b.analyses != 1 {
		b.t.Errorf("%d analyses, want one: the rollback was a rollout as any", b.analyses)
	}
}
