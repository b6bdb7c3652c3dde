package manifests

import (
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
		found := 0
		for _, p := range pods(t, r) {
			for _, c := range p.containers() {
				if c.Name == "postgres" {
					continue
				}
				found++
				if c.Image != "registry.example/understudy:7.1" {
					t.Errorf("%s, container %s: its image is %s", p.of, c.Name, c.Image)
				}
			}
		}
		if found < 5 { // the worker in two roles, the gate's two, worker-migrate
			t.Errorf("only %d containers of ours were found", found)
		}
	})
}
