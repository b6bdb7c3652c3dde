//go:build cluster

package cluster

import "testing"

// TestCanary goes through the steps of a canary, and through one that is aborted.
func TestCanary(t *testing.T) {
	d := deploy(t, "canary", 3)
	var first, second rollout

	d.step("AFirstDeploymentIsStableFromBirth", func(d *deployment) {
		first = d.first(one)
		d.awaitPods(first.Status.CurrentPodHash, "stable", inRole("stable"))
	})
	stop := d.trickle()
	defer stop()

	d.step("ACanaryDoesPreviewWorkBesideAllOfTheStablePods", func(d *deployment) {
		d.works("1.0")
		d.apply(two)
		second = d.await("paused after the gate", rollout.paused)
		d.canaries(second, 1)
		d.awaitPods(first.Status.CurrentPodHash, "stable", inRole("stable"))
		d.gates(1)
		d.migrated(2)
		d.previewWorks(productionServer, second, "2.0")
		d.works("1.0")
		d.never("2.0")
	})

	d.step("ItTakesOverProductionWhenAllStepsAreDone", func(d *deployment) {
		from := d.serverNow()
		d.argo("promote", "worker")
		d.await("at the last step", func(r rollout) bool { return r.seen() && r.Status.CurrentStepIndex == 4 })
		d.canaries(second, 2)
		d.await("healthy", rollout.healthy)
		d.awaitPods(second.Status.CurrentPodHash, "stable", inRole("stable"))
		d.works("2.0")
		d.handover(from, "1.0", "2.0")
		d.unrestarted(second)
	})

	d.step("AnAbortedCanaryNeverWorksInProduction", func(d *deployment) {
		d.apply(three)
		third := d.await("paused after the gate", rollout.paused)
		d.argo("abort", "worker")
		d.await("aborted", func(r rollout) bool { return r.degraded() && r.Status.Abort })
		d.gone(third)
		d.works("2.0")
		d.never("3.0")
	})

	stop()
	d.step("NothingWasLostAndNoCanaryWorkedInProduction", func(d *deployment) { d.judge() })
}

// canaries waits until a revision has as many pods, all canaries.
func (d *deployment) canaries(r rollout, count int) {
	d.t.Helper()
	few := *d
	few.replicas = count
	few.awaitPods(r.Status.CurrentPodHash, "canary", inRole("canary"))
}
