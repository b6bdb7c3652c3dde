//go:build cluster

package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The versions of the story. Each has a migration more than the one before it.
var (
	one   = version{name: "1.0", migrations: 1}
	two   = version{name: "2.0", migrations: 2}
	three = version{name: "3.0", migrations: 3}
	four  = version{name: "4.0", migrations: 4}
	five  = version{name: "5.0", migrations: 5}
	six   = version{name: "6.0", migrations: 6}
	seven = version{name: "7.0", migrations: 7}
	eight = version{name: "8.0", migrations: 8}
)

// TestBlueGreen goes through the life of a deployment while production's jobs
// keep coming, and counts them at the end.
func TestBlueGreen(t *testing.T) {
	d := deploy(t, "bluegreen", 3)
	var first, second, third, fourth rollout

	d.step("AFirstDeploymentIsActiveFromBirthOnceProductionIsMigrated", func(d *deployment) {
		first = d.first(one)
		d.awaitPods(first.Status.CurrentPodHash, "active", inRole("active"))
		d.migrated(1)
		if runs := d.analyses(); len(runs) != 0 {
			d.t.Errorf("a first deployment has a gate: %q", runs)
		}
	})
	stop := d.trickle()
	defer stop()

	d.step("ANewVersionRehearsesAndPassesTheGateWhileProductionGoesOn", func(d *deployment) {
		d.works("1.0")
		d.apply(two)
		second = d.await("paused after the gate", rollout.paused)
		d.awaitPods(second.Status.CurrentPodHash, "preview", inRole("preview"))
		d.gates(1)
		d.migrated(2)
		d.previewWorks(productionServer, second, "2.0")
		d.works("1.0")
		d.never("2.0")
	})

	d.step("APromotionHandsProductionOverWithoutARestart", func(d *deployment) {
		d.promoted(first, second, "1.0", "2.0")
	})

	d.step("AnUndoWithinTheScaleDownDelayTakesEffectAtOnce", func(d *deployment) {
		d.undone(first, "2.0", "1.0")
		d.gates(1) // and no other
	})

	d.step("TheLastVersionStopsAfterTheScaleDownDelay", func(d *deployment) {
		d.gone(second)
	})

	d.step("AnUndoAfterTheScaleDownDelayGoesThroughPreviewAndGate", func(d *deployment) {
		d.argo("undo", "worker")
		d.await("paused after the gate", rollout.paused)
		d.awaitPods(second.Status.CurrentPodHash, "preview", inRole("preview"))
		d.gates(2)
		d.promoted(first, second, "1.0", "2.0")
	})

	d.step("AThirdVersionTakesTheSecondsPlaceInPreview", func(d *deployment) {
		d.apply(three)
		third = d.await("paused after the gate", rollout.paused)
		d.awaitPods(third.Status.CurrentPodHash, "preview", inRole("preview"))
		d.apply(four)
		fourth = d.await("looked at", func(r rollout) bool { return r.seen() && r.Status.CurrentPodHash != third.Status.CurrentPodHash })
		d.awaitPods(third.Status.CurrentPodHash, "without a role, and ready", inRole(""))
		d.await("paused after the gate", rollout.paused)
		d.awaitPods(fourth.Status.CurrentPodHash, "preview", inRole("preview"))
		d.previewWorks(productionServer, fourth, "4.0")
		d.promoted(second, fourth, "2.0", "4.0")
		d.never("3.0")
	})

	d.step("AnAbortLeavesProductionWhereItIs", func(d *deployment) {
		d.apply(five)
		fifth := d.await("paused after the gate", rollout.paused)
		d.argo("abort", "worker")
		d.await("aborted", func(r rollout) bool { return r.degraded() && r.Status.Abort })
		d.works("4.0")
		d.gone(fifth)
		d.unrestarted(fourth)
		d.never("5.0")
		d.apply(four)
		d.await("healthy", rollout.healthy)
	})

	d.step("PodsThatAreDeletedLoseNoJob", func(d *deployment) {
		pods := d.workers(fourth.Status.CurrentPodHash)
		d.kubectl("delete", "pod", pods[0].Metadata.Name, "--wait=false")
		d.kubectl("delete", "pod", pods[1].Metadata.Name, "--grace-period=0", "--force")
		d.awaitPods(fourth.Status.CurrentPodHash, "active again", func(p pod) bool {
			return inRole("active")(p) && p.Metadata.Name != pods[0].Metadata.Name && p.Metadata.Name != pods[1].Metadata.Name
		})
		d.works("4.0")
	})

	d.step("AControllerThatStopsInAPromotionLosesNothing", func(d *deployment) {
		d.apply(six)
		sixth := d.await("paused after the gate", rollout.paused)
		d.argo("promote", "worker")
		d.await("switched", func(r rollout) bool { return r.Status.BlueGreen.ActiveSelector == sixth.Status.CurrentPodHash })
		start := stopController(d.t)
		from := d.ask(`SELECT clock_timestamp()`)
		d.until("production to go on without a controller",
			`SELECT count(*) >= 30 FROM production.jobs WHERE state = 'completed' AND created_at > '%s'`, from)
		start()
		d.await("healthy", rollout.healthy)
		d.awaitPods(sixth.Status.CurrentPodHash, "active", inRole("active"))
		d.works("6.0")
	})

	d.step("APostgresThatRestartsInAPromotionLosesNothing", func(d *deployment) {
		d.apply(seven)
		seventh := d.await("paused after the gate", rollout.paused)
		d.kubectl("delete", "pod", productionServer, "--wait=false")
		d.argo("promote", "worker")
		d.await("healthy", rollout.healthy)
		d.awaitPods(seventh.Status.CurrentPodHash, "active", inRole("active"))
		d.works("7.0")
		d.unrestarted(seventh)
	})

	d.step("AVersionPromotedPastTheGateWaitsForProductionsMigrationAndSaysSo", func(d *deployment) {
		d.apply(eight)
		eighth := d.await("looked at", func(r rollout) bool { return r.seen() && r.Status.Phase != "Healthy" })
		d.argo("promote", "worker", "--full")
		behind := func(p pod) bool { return p.role() == "active" && !p.ready() }
		d.awaitPods(eighth.Status.CurrentPodHash, "active and not ready", behind)
		said := d.kubectl("logs", "-l", "rollouts-pod-template-hash="+eighth.Status.CurrentPodHash, "--tail=50")
		if !strings.Contains(said, "understudy migrate up --target production") {
			d.t.Errorf("the pods do not say what to do: %s", said)
		}
		d.never("8.0")
		d.migrate("past-the-gate")
		d.await("healthy", rollout.healthy)
		d.awaitPods(eighth.Status.CurrentPodHash, "active", inRole("active"))
		d.works("8.0")
		d.migrated(8)
		d.unrestarted(eighth)
	})

	stop()
	d.step("NothingWasLostAndNoPreviewWorkedInProduction", func(d *deployment) { d.judge() })
}

// first makes a first deployment.
func (d *deployment) first(v version) rollout {
	d.t.Helper()
	d.apply(v)
	d.migrate("first-migration")
	return d.await("healthy", rollout.healthy)
}

// migrate migrates production by hand.
func (d *deployment) migrate(job string) {
	d.t.Helper()
	d.kubectl("create", "job", job, "--from=cronjob/worker-migrate")
}

// promoted promotes the version that is in preview and waits until it has taken over.
func (d *deployment) promoted(old, next rollout, oldVersion, nextVersion string) {
	d.t.Helper()
	from := d.serverNow()
	d.argo("promote", "worker")
	d.await("healthy", rollout.healthy)
	d.awaitPods(next.Status.CurrentPodHash, "active", inRole("active"))
	d.awaitPods(old.Status.CurrentPodHash, "without a role, and ready", inRole(""))
	d.works(nextVersion)
	d.handover(from, oldVersion, nextVersion)
	d.unrestarted(next)
}

// undone undoes a promotion whose old version still runs, and waits until that is back.
func (d *deployment) undone(old rollout, nextVersion, oldVersion string) {
	d.t.Helper()
	from := d.serverNow()
	d.argo("undo", "worker")
	d.await("back", func(r rollout) bool { return r.healthy() && r.Status.StableRS == old.Status.CurrentPodHash })
	d.awaitPods(old.Status.CurrentPodHash, "active", inRole("active"))
	d.works(oldVersion)
	d.handover(from, nextVersion, oldVersion)
	d.unrestarted(old)
}

// unrestarted checks that no container of a revision was started twice.
func (d *deployment) unrestarted(r rollout) {
	d.t.Helper()
	for _, p := range d.workers(r.Status.CurrentPodHash) {
		if p.restarts() != 0 {
			d.t.Errorf("pod %s was restarted", p)
		}
	}
}

// gone waits until a revision has no pods.
func (d *deployment) gone(r rollout) {
	d.t.Helper()
	waitFor(d.t, "the pods of a revision to stop", scaleDownDelay+stepTimeout, func() (bool, string) {
		pods := d.workers(r.Status.CurrentPodHash)
		return len(pods) == 0, fmt.Sprint(pods)
	})
}

// analyses are the phases of all gates there have been.
func (d *deployment) analyses() []string {
	d.t.Helper()
	return strings.Fields(d.kubectl("get", "analysisruns", "-o", "jsonpath={.items[*].status.phase}"))
}

// gates checks that as many gates were passed, and none failed. One that Argo
// ends before its verdict, as in a fast rollback, counts as neither.
func (d *deployment) gates(passed int) {
	d.t.Helper()
	runs := d.analyses()
	count := 0
	for _, phase := range runs {
		if phase == "Successful" {
			count++
		}
	}
	if count != passed || slices.Contains(runs, "Failed") || slices.Contains(runs, "Error") {
		d.t.Errorf("%d gates were to be passed: %q", passed, runs)
	}
}

// migrated checks how many of the application's migrations production has.
func (d *deployment) migrated(count int) {
	d.t.Helper()
	if got := d.ask(`SELECT count(*) FROM pg_tables WHERE schemaname = 'production' AND tablename LIKE 'expanded_%%'`); got != fmt.Sprint(count) {
		d.t.Errorf("production has %s of %d migrations", got, count)
	}
}

// previewWorks checks that a revision's own schema has the jobs of its gate, and
// that the revision works what is enqueued there.
func (d *deployment) previewWorks(server string, r rollout, name string) {
	d.t.Helper()
	schema := "preview_" + r.Status.CurrentPodHash
	id := d.askPreviews(server, `SELECT %s.enqueue('echo')`, schema)
	waitFor(d.t, "the preview to work in "+schema, time.Minute, func() (bool, string) {
		now := d.askPreviews(server, `SELECT state || ' by ' || coalesce(worker_version, '') FROM %s.jobs WHERE id = %s`, schema, id)
		return now == "completed by "+name, now
	})
	others := d.askPreviews(server, `SELECT count(*) FROM %s.jobs WHERE worker_version <> '%s'`, schema, name)
	if others != "0" {
		d.t.Errorf("%s jobs of preview %s were another version's", others, name)
	}
	_, err := d.psqlAs(d.t.Context(), server, "understudy_preview", "understudy", "SELECT 1")
	if err == nil || !strings.Contains(err.Error(), "permission denied for database") {
		d.t.Errorf("the previews' login connects to production's database: %v", err)
	}
}
