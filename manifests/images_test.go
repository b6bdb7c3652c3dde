package manifests

import (
	"slices"
	"strings"
	"testing"
)

// The gate has its image from the Rollout, by an argument, which pods puts in.
func TestOneEntryOfImagesIsTheVersionOfEverything(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		if strings.Contains(r.kustomization, "images:") {
			return // it has such an entry
		}
		var err error
		if r.objects, err = render(r.kustomization + "\nimages: [{name: understudy, newName: registry.example/understudy, newTag: '7.1'}]"); err != nil {
			t.Fatal(err)
		}
		mustRun(t, r, "registry.example/understudy:7.1")
	})
}

// mustRun holds the image of every container of ours against what it is to be.
func mustRun(t *testing.T, r rendering, image string) {
	t.Helper()
	found := 0
	for _, p := range pods(t, r) {
		for _, c := range p.containers() {
			if c.Name == "postgres" {
				continue
			}
			found++
			if c.Image != image {
				t.Errorf("%s, container %s: its image is %s", p.of, c.Name, c.Image)
			}
		}
	}
	if found < 5 { // the worker in two roles, the gate's two, worker-migrate
		t.Errorf("only %d containers of ours were found", found)
	}
}

func TestAUsersOverlayChangesImageNamespaceNamesAndArguments(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		if !strings.HasPrefix(r.name, "user") {
			return
		}
		mustRun(t, r, "registry.example/shop/worker:7.1")
		for _, o := range r.objects {
			if first(o.fields, "metadata.namespace") != namespace || !strings.HasPrefix(o.name, "shop-") {
				t.Errorf("%s is in the namespace %q", o, first(o.fields, "metadata.namespace"))
			}
		}
		for _, p := range pods(t, r) {
			if p.role != "" && !slices.Contains(p.Spec.Containers[0].Args, "--log.level=debug") {
				t.Errorf("%s: its arguments are %v", p.of, p.Spec.Containers[0].Args)
			}
		}
	})
}
