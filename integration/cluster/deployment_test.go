//go:build cluster

package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// manifests is where the overlays are.
const manifests = "../../manifests"

// scaleDownDelay is shorter than the manifests' own, so that a test sees its end.
// It is above the drain (20s) and what labels take to reach a pod here.
const scaleDownDelay = 45 * time.Second

// deployment is an overlay in a namespace of its own.
type deployment struct {
	t         *testing.T
	overlay   string
	namespace string
	replicas  int
	dir       string // the overlay of its user, on top of ours
	fromGit   bool   // synced with the component first-migration, by nobody's hand
	rollout   *watch
}

// version is what an apply deploys: one image gives all versions, told apart by
// APP_VERSION and by how many migrations of the application's own they bring.
type version struct {
	name       string
	migrations int
	patches    []string // JSON patches of the Rollout, one operation each
	image      string   // another one than the tests were given
}

// deploy makes a namespace that takes restricted pods only, with the Secrets
// that the overlay needs.
func deploy(t *testing.T, overlay string, replicas int, secrets ...string) *deployment {
	t.Helper()
	d := &deployment{t: t, overlay: overlay, replicas: replicas, dir: t.TempDir()}
	d.namespace = "understudy-" + overlay + "-" + strings.ToLower(rand.Text()[:6])
	d.store()
	kubectl(t, "create", "namespace", d.namespace)
	t.Cleanup(func() {
		if t.Failed() {
			d.show()
		}
		_, err := run(context.WithoutCancel(t.Context()), "", "kubectl", "delete", "namespace", d.namespace, "--timeout=100s")
		if err != nil {
			t.Error(err)
		}
	})
	kubectl(t, "label", "namespace", d.namespace, "pod-security.kubernetes.io/enforce=restricted")
	d.rollout = d.watch()
	made, err := run(t.Context(), "", filepath.Join(manifests, "secrets.sh"), secrets...)
	if err == nil {
		_, err = run(t.Context(), made, "kubectl", "create", "--namespace", d.namespace, "-f", "-")
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// step runs one step of a story, as a subtest; the next makes no sense without it.
func (d *deployment) step(name string, do func(d *deployment)) {
	d.t.Helper()
	ok := d.t.Run(name, func(t *testing.T) {
		within := *d
		within.t = t
		do(&within)
	})
	if !ok {
		d.t.FailNow()
	}
}

// kubectl runs kubectl in the deployment's namespace, or ends the test.
func (d *deployment) kubectl(args ...string) string {
	d.t.Helper()
	return kubectl(d.t, append([]string{"--namespace", d.namespace}, args...)...)
}

// argo runs the plugin on the deployment's rollout: promote, abort, undo, …
func (d *deployment) argo(args ...string) string {
	d.t.Helper()
	return kubectl(d.t, append(append([]string{"argo", "rollouts"}, args...), "--namespace", d.namespace)...)
}

// apply applies a version, as a user does: by an overlay of their own.
func (d *deployment) apply(v version) {
	d.t.Helper()
	d.write(v)
	if d.fromGit { // what syncs replaces the Job
		d.kubectl("delete", "job", "first-migration", "--ignore-not-found")
	}
	kubectl(d.t, "apply", "-k", d.dir)
}

// write writes the user's overlay.
func (d *deployment) write(v version) {
	d.t.Helper()
	files := d.configuration(v)
	image := v.image
	if image == "" {
		image = os.Getenv(imageVariable)
	}
	name, tag := imageParts(image)
	components := ""
	if d.fromGit {
		components = fmt.Sprintf("components: [%q]\n", d.relative("components", "first-migration"))
	}
	d.file("kustomization.yaml", fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: %s
resources: [%q]
%simages:
  - {name: understudy, newName: %q, newTag: %q}
configMapGenerator:
  - name: worker-config
    behavior: merge
    files: [%s]
patches:
  - target: {kind: Rollout, name: worker}
    patch: |
      - %s
`, d.namespace, d.relative("overlays", d.overlay), components, name, tag, strings.Join(files, ", "), strings.Join(d.operations(v), "\n      - ")))
}

// operations are the JSON patches that make the Rollout one of a test's.
func (d *deployment) operations(v version) []string {
	all := []string{
		fmt.Sprintf(`{op: add, path: /spec/replicas, value: %d}`, d.replicas),
		fmt.Sprintf(`{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: APP_VERSION, value: %q}}`, v.name),
	}
	if d.overlay != "canary" {
		all = append(all, fmt.Sprintf(`{op: replace, path: /spec/strategy/blueGreen/scaleDownDelaySeconds, value: %d}`, int(scaleDownDelay.Seconds())))
	}
	return append(all, v.patches...)
}

// relative is the way from the user's overlay to one of our folders, as Kustomize wants it.
func (d *deployment) relative(folder ...string) string {
	d.t.Helper()
	path, err := filepath.Abs(filepath.Join(manifests, filepath.Join(folder...)))
	if err == nil {
		path, err = filepath.Rel(d.dir, path)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return path
}

// configuration writes the worker's configuration with the application's
// migrations beside it, and lists the files.
func (d *deployment) configuration(v version) (files []string) {
	d.t.Helper()
	base, err := os.ReadFile(filepath.Join(manifests, "base", "worker.yaml"))
	if err != nil {
		d.t.Fatal(err)
	}
	config := string(base)
	for number := range v.migrations {
		name := fmt.Sprintf("%04d_expand.up.sql", number+1)
		d.file(name, fmt.Sprintf("CREATE TABLE expanded_%d (id bigint);\n", number+1))
		files = append(files, name)
	}
	if v.migrations > 0 {
		config = strings.ReplaceAll(config, "    migrations: ", "    app_migrations: /etc/understudy/config\n    migrations: ")
	}
	d.file("worker.yaml", config)
	return append(files, "worker.yaml")
}

func (d *deployment) file(name, content string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// imageParts splits an image's name from its tag.
func imageParts(image string) (name, tag string) {
	if at := strings.LastIndex(image, ":"); at > strings.LastIndex(image, "/") {
		return image[:at], image[at+1:]
	}
	return image, "latest"
}

// show prints how a deployment stands that failed its test.
func (d *deployment) show() {
	ctx := context.WithoutCancel(d.t.Context())
	for _, args := range [][]string{
		{"argo", "rollouts", "get", "rollout", "worker"},
		{"get", "pods,jobs,analysisruns", "-o", "wide", "--show-labels"},
		{"get", "events", "--sort-by=.lastTimestamp"},
		{"logs", "-l", "app.kubernetes.io/part-of=understudy", "--all-containers", "--prefix", "--tail=20", "--max-log-requests=50"},
	} {
		out, err := run(ctx, "", "kubectl", append(slices.Clone(args), "--namespace", d.namespace)...)
		d.t.Logf("$ kubectl %s\n%s", strings.Join(args, " "), out)
		if err != nil {
			d.t.Log(err)
		}
	}
}
