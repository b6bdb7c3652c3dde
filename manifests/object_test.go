package manifests

import (
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	rollouts "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// object is one object as it is applied.
type object struct {
	version, kind, name string
	text                string
	fields              map[string]any
	typed               any // nil for a custom resource that has no Go type here
}

func (o object) String() string { return o.kind + " " + o.name }

// types are those that objects are decoded to.
var types = map[string]any{
	"v1 ConfigMap":                          core.ConfigMap{},
	"v1 Secret":                             core.Secret{},
	"v1 Service":                            core.Service{},
	"v1 ServiceAccount":                     core.ServiceAccount{},
	"apps/v1 StatefulSet":                   apps.StatefulSet{},
	"batch/v1 CronJob":                      batch.CronJob{},
	"batch/v1 Job":                          batch.Job{},
	"networking.k8s.io/v1 NetworkPolicy":    networking.NetworkPolicy{},
	"policy/v1 PodDisruptionBudget":         policy.PodDisruptionBudget{},
	"argoproj.io/v1alpha1 Rollout":          rollouts.Rollout{},
	"argoproj.io/v1alpha1 AnalysisTemplate": rollouts.AnalysisTemplate{},
}

// decode decodes an object, into its type where there is one: strictly, so that
// a field that the type does not have, or that stands twice, is an error.
func decode(text []byte) (object, error) {
	o := object{text: string(text)}
	if err := yaml.UnmarshalStrict(text, &o.fields); err != nil {
		return o, err
	}
	o.version, o.kind, o.name = first(o.fields, "apiVersion"), first(o.fields, "kind"), first(o.fields, "metadata.name")
	if sample, ok := types[o.version+" "+o.kind]; ok {
		o.typed = reflect.New(reflect.TypeOf(sample)).Interface()
		return o, yaml.UnmarshalStrict(text, o.typed)
	}
	return o, nil
}

// of are the objects of a type.
func of[T any](r rendering) []*T {
	var found []*T
	for _, o := range r.objects {
		if typed, ok := o.typed.(*T); ok {
			found = append(found, typed)
		}
	}
	return found
}

// named is the object of a type and name.
func named[T any](t *testing.T, r rendering, name string) *T {
	t.Helper()
	for _, o := range r.objects {
		if typed, ok := o.typed.(*T); ok && o.name == name {
			return typed
		}
	}
	t.Fatalf("there is no %T %s", *new(T), name)
	return nil
}

// step is one step of a path: a field, and then one item or, [], every item.
var step = regexp.MustCompile(`^(\w+)(\[(\d*)\])?$`)

// find finds the values at a path, such as spec.containers[].name.
func find(from any, path string) []any {
	head, rest, more := strings.Cut(path, ".")
	match := step.FindStringSubmatch(head)
	fields, ok := from.(map[string]any)
	if match == nil || !ok || fields[match[1]] == nil {
		return nil
	}
	values := []any{fields[match[1]]}
	if match[2] != "" {
		values = items(values[0], match[3])
	}
	if !more {
		return values
	}
	var found []any
	for _, value := range values {
		found = append(found, find(value, rest)...)
	}
	return found
}

// items are the item of a list that has the index, or all if there is no index.
func items(list any, index string) []any {
	all, _ := list.([]any)
	if index == "" {
		return all
	}
	if i, err := strconv.Atoi(index); err == nil && i < len(all) {
		return all[i : i+1]
	}
	return nil
}

// first is the text at a path, "" where there is none.
func first(from any, path string) string {
	for _, value := range find(from, path) {
		text, _ := value.(string)
		return text
	}
	return ""
}

// number is that at a path, 0 where there is none.
func number(from any, path string) float64 {
	for _, value := range find(from, path) {
		n, _ := value.(float64)
		return n
	}
	return 0
}
