// Package manifests checks the manifests without a cluster: every overlay is
// rendered as kubectl apply -k does it, and held against the types of Kubernetes
// and Argo Rollouts, the definitions of custom resources, and rules of our own.
package manifests

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// rendering is what a kustomization comes to, and the Secrets that go with it.
type rendering struct {
	name          string
	kustomization string
	objects       []object
	secrets       secrets
}

// usersOverlay is an overlay of somebody's own: the base with all components, or
// none, under other names, with another image and another argument.
const usersOverlay = `
resources: [../manifests/base]
components: [%s]
namespace: shop
namePrefix: shop-
images: [{name: understudy, newName: registry.example/shop/worker, newTag: "7.1"}]
patches:
  - target: {kind: Rollout}
    patch: |
      - {op: add, path: /spec/template/spec/containers/0/args/-, value: --log.level=debug}
`

// each holds a rule against the base, every overlay, and some of a user's own.
func each(t *testing.T, rule func(t *testing.T, r rendering)) {
	t.Parallel()
	all, err := renderings()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			rule(t, r)
		})
	}
}

// renderings are rendered once.
var renderings = sync.OnceValues(func() (all []rendering, err error) {
	components := folders("components")
	besides := slices.DeleteFunc(slices.Clone(components), func(c string) bool { return path.Base(c) == "postgres" })
	kustomizations := map[string]string{
		"base":             "resources: [../manifests/base]",
		"user":             fmt.Sprintf(usersOverlay, ""),
		"user with more":   fmt.Sprintf(usersOverlay, strings.Join(components, ", ")),
		"canary with more": fmt.Sprintf("resources: [../manifests/overlays/canary]\ncomponents: [%s]", strings.Join(besides, ", ")),
	}
	for _, overlay := range folders("overlays") {
		kustomizations[path.Base(overlay)] = "resources: [" + overlay + "]"
	}
	for name, kustomization := range kustomizations {
		r := rendering{name: name, kustomization: kustomization}
		if r.objects, err = render(kustomization); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if r.secrets, err = secretsOf(name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, r)
	}
	return all, nil
})

// folders are those in a folder here, as an overlay beside manifests names them.
func folders(in string) (all []string) {
	found, err := os.ReadDir(in)
	if err != nil || len(found) == 0 {
		panic(fmt.Sprintf("%s holds nothing: %v", in, err))
	}
	for _, folder := range found {
		all = append(all, path.Join("../manifests", in, folder.Name()))
	}
	return all
}

// kustomize is held while something is rendered: Kustomize has global state.
var kustomize sync.Mutex

// render renders a kustomization in a folder beside manifests.
func render(kustomization string) ([]object, error) {
	files, err := copied()
	if err != nil {
		return nil, err
	}
	if err := files.WriteFile("/overlay/kustomization.yaml", []byte(kustomization)); err != nil {
		return nil, err
	}
	kustomize.Lock()
	defer kustomize.Unlock()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, "/overlay")
	if err != nil {
		return nil, err
	}
	var objects []object
	for _, resource := range resources.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return nil, err
		}
		o, err := decode(text)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", resource.GetKind(), resource.GetName(), err)
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// copied is a file system that holds the manifests, where overlays can be tried.
func copied() (filesys.FileSystem, error) {
	files := filesys.MakeFsInMemory()
	return files, fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(path.Base(name), "go.") || path.Ext(name) == ".go" {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return files.WriteFile(path.Join("/manifests", name), text)
	})
}
