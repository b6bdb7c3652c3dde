//go:build cluster

package cluster

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// TestMistakes makes an operator's mistakes: none of them is promoted, each says
// what to do, and each is mended in place.
func TestMistakes(t *testing.T) {
	d := deploy(t, "bluegreen", 1)
	var first rollout

	d.step("AWrongPasswordOfTheOwnerLeavesProductionUnmigratedAndTheWorkersSaySo", func(d *deployment) {
		mend := d.spoil("worker-owner", "understudy_owner:", "understudy_owner:not-")
		d.apply(one)
		d.migrate("first-migration")
		d.says("app.kubernetes.io/name=worker-migrate", `connect to target "production"`, "password authentication failed", "targets.production.migrate_dsn_file")
		d.says("app.kubernetes.io/name=worker", `schema "production"`, "understudy migrate up --target production")
		mend()
		d.migrate("first-migration-mended")
		first = d.await("healthy", rollout.healthy)
		d.awaitPods(first.Status.CurrentPodHash, "active", inRole("active"))
		d.unrestarted(first)
	})
	stop := d.trickle()
	defer stop()

	d.step("AnImageThatIsNotThereIsNotPromoted", func(d *deployment) {
		d.apply(version{name: "2.0", image: "understudy:there-is-no-such"})
		wrong := d.await("looked at", func(r rollout) bool { return r.seen() && r.Status.Phase == "Progressing" })
		d.waits(wrong, "understudy:there-is-no-such")
		d.holds(first)
	})

	d.step("ASecretThatIsNotThereIsNotPromoted", func(d *deployment) {
		d.apply(version{name: "2.1", patches: []string{
			`{op: replace, path: /spec/template/spec/volumes/1/secret/secretName, value: worker-productoin}`,
		}})
		waitFor(d.t, "an event that names the Secret", stepTimeout, func() (bool, string) {
			events := d.kubectl("get", "events", "--field-selector=reason=FailedMount", "-o", "jsonpath={.items[*].message}")
			return strings.Contains(events, `secret "worker-productoin" not found`), events
		})
		d.holds(first)
	})

	d.step("AWrongPasswordOfThePreviewFailsTheGate", func(d *deployment) {
		mend := d.spoil("worker-preview", "understudy_preview:", "understudy_preview:not-")
		d.apply(version{name: "2.2"})
		d.await("failed", rollout.degraded)
		d.gateSays("smoke", `connect to target "preview"`, "password authentication failed")
		d.holds(first)
		mend()
	})

	d.step("AWrongPasswordOfTheOwnerFailsTheGateAndItCanBeTriedAgain", func(d *deployment) {
		mend := d.spoil("worker-owner", "understudy_owner:", "understudy_owner:not-")
		d.apply(version{name: "2.3", migrations: 2})
		d.await("failed", rollout.degraded)
		d.gateSays("migrate", `connect to target "production"`, "password authentication failed")
		d.migrated(1)
		d.holds(first)
		mend()
		d.argo("retry", "rollout", "worker")
		d.await("paused after the gate", rollout.paused)
		d.migrated(2)
	})

	stop()
	d.step("NothingWasLostAndNoPreviewWorkedInProduction", func(d *deployment) { d.judge() })
}

// spoil changes the DSN in a Secret, and returns what changes it back.
func (d *deployment) spoil(secret, old, new string) (mend func()) {
	d.t.Helper()
	dsn, err := base64.StdEncoding.DecodeString(d.kubectl("get", "secret", secret, "-o", "jsonpath={.data.dsn}"))
	if err != nil {
		d.t.Fatal(err)
	}
	put := func(dsn string) {
		d.t.Helper()
		d.kubectl("patch", "secret", secret, "--type=merge", "-p", fmt.Sprintf(`{"stringData": {"dsn": %q}}`, dsn))
	}
	put(strings.Replace(string(dsn), old, new, 1))
	return func() { d.t.Helper(); put(string(dsn)) }
}

// says waits until the logs of pods say all of it in one line.
func (d *deployment) says(selector string, parts ...string) {
	d.t.Helper()
	waitFor(d.t, fmt.Sprintf("pods %s to say %q", selector, parts), stepTimeout, func() (bool, string) {
		out, err := run(d.t.Context(), "", "kubectl", "logs", "--namespace", d.namespace, "-l", selector, "--tail=20")
		for line := range strings.Lines(out) {
			if holdsAll(strings.ReplaceAll(line, `\"`, `"`), parts) {
				d.t.Logf("%s says: %s", selector, line)
				return true, ""
			}
		}
		return false, fmt.Sprint(out, err)
	})
}

// gateSays checks what the last failed gate left for kubectl describe.
func (d *deployment) gateSays(container string, parts ...string) {
	d.t.Helper()
	var all []string
	for _, p := range d.pods("app.kubernetes.io/name=worker-gate") {
		for _, c := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
			if c.Name == container && c.State.Terminated != nil && c.State.Terminated.ExitCode != 0 {
				all = append(all, c.State.Terminated.Message)
				if holdsAll(c.State.Terminated.Message, parts) {
					d.t.Logf("%s says: %s", container, c.State.Terminated.Message)
					return
				}
			}
		}
	}
	d.t.Errorf("no %s container of a gate says %q: %q", container, parts, all)
}

// waits waits until a pod of a revision waits with a reason that holds the text.
func (d *deployment) waits(r rollout, text string) {
	d.t.Helper()
	waitFor(d.t, "a pod that waits for "+text, stepTimeout, func() (bool, string) {
		pods := d.workers(r.Status.CurrentPodHash)
		for _, p := range pods {
			for _, c := range p.Status.ContainerStatuses {
				if c.State.Waiting != nil && strings.Contains(c.State.Waiting.Message, text) {
					d.t.Logf("the pod waits: %s: %s", c.State.Waiting.Reason, c.State.Waiting.Message)
					return true, ""
				}
			}
		}
		return false, fmt.Sprint(pods)
	})
}

// holds checks that production is still a revision's, and that it works.
func (d *deployment) holds(r rollout) {
	d.t.Helper()
	d.awaitPods(r.Status.CurrentPodHash, "active", inRole("active"))
	d.works("1.0")
	d.unrestarted(r)
}

func holdsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
