//go:build cluster

package cluster

import (
	"strings"
	"testing"
)

// TestSeparateServers has previews on a server of their own, which fails. It is
// deployed as from Git: with a first migration that nobody runs by hand.
func TestSeparateServers(t *testing.T) {
	d := deploy(t, "separate-servers", 2, "--separate-servers")
	d.fromGit = true
	var first, second rollout

	d.step("AFirstDeploymentMigratesProductionByItself", func(d *deployment) {
		d.apply(one)
		first = d.await("healthy", rollout.healthy)
		d.migrated(1)
	})
	stop := d.trickle()
	defer stop()

	d.step("APreviewWorksOnItsOwnServer", func(d *deployment) {
		d.apply(two)
		d.await("looked at", func(r rollout) bool { return r.seen() && r.Status.Phase != "Healthy" })
		d.kubectl("wait", "job", "first-migration", "--for=condition=Complete", "--timeout=100s")
		said := d.kubectl("logs", "job/first-migration")
		second = d.await("paused after the gate", rollout.paused)
		d.previewWorks(previewServer, second, "2.0")
		d.works("1.0")
		if found := d.askPreviews(productionServer, `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'preview%%'`); found != "0" {
			d.t.Errorf("production's server has %s schemas of previews", found)
		}
		if !strings.Contains(said, "nothing to do") && !strings.Contains(said, "left as it is") {
			d.t.Errorf("the first migration, repeated, did not leave production to the gate: %s", said)
		}
		d.migrated(2)
		d.promoted(first, second, "1.0", "2.0")
	})

	d.step("AnUndoDoesNotNeedThePreviewsServer", func(d *deployment) {
		d.kubectl("scale", "statefulset", "postgres-preview", "--replicas=0")
		d.kubectl("wait", "pod", previewServer, "--for=delete", "--timeout=100s")
		d.undone(first, "2.0", "1.0")
	})

	stop()
	d.step("NothingWasLostAndNoPreviewWorkedInProduction", func(d *deployment) { d.judge() })
}
