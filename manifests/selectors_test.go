package manifests

import (
	"encoding/json"
	"testing"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// selecting are the places where a kind of object selects pods.
var selecting = []mention{
	{by: "Service", in: "spec", field: "selector"},
	{by: "Rollout", in: "spec", field: "selector"},
	{by: "StatefulSet", in: "spec", field: "selector"},
	{by: "PodDisruptionBudget", in: "spec", field: "selector"},
	{by: "PodMonitor", in: "spec", field: "selector"},
	{by: "NetworkPolicy", in: "spec", field: "podSelector"},
	{by: "NetworkPolicy", in: "spec.ingress[].from[]", field: "podSelector"},
	{by: "Rollout", in: "spec.template.spec.topologySpreadConstraints[]", field: "labelSelector"},
}

// selectors are those of a rendering that select among its own pods.
func selectors(t *testing.T, r rendering, found func(o object, selector labels.Selector)) {
	t.Helper()
	for _, o := range r.objects {
		for _, place := range selecting {
			if place.by != o.kind {
				continue
			}
			for _, in := range find(o.fields, place.in) {
				for _, selector := range find(in, place.field) {
					if len(find(in, "namespaceSelector")) == 0 { // else it selects elsewhere
						found(o, parse(t, o, selector))
					}
				}
			}
		}
	}
}

func parse(t *testing.T, o object, from any) labels.Selector {
	t.Helper()
	if o.kind == "Service" {
		from = map[string]any{"matchLabels": from}
	}
	text, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	var selector meta.LabelSelector
	if err := json.Unmarshal(text, &selector); err != nil {
		t.Fatal(err)
	}
	parsed, err := meta.LabelSelectorAsSelector(&selector)
	if err != nil {
		t.Fatalf("%s: %v", o, err)
	}
	return parsed
}

// podLabels are the labels of all pods, and of those that CloudNativePG makes.
func podLabels(t *testing.T, r rendering) (all []labels.Set) {
	t.Helper()
	for _, p := range pods(t, r) {
		all = append(all, p.Labels)
	}
	for _, o := range r.objects {
		if o.kind != "Cluster" {
			continue
		}
		set := labels.Set{"cnpg.io/cluster": o.name}
		for _, inherited := range find(o.fields, "spec.inheritedMetadata.labels") {
			for key, value := range inherited.(map[string]any) {
				set[key], _ = value.(string)
			}
		}
		all = append(all, set)
	}
	return all
}

func TestEverySelectorFindsPods(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		there := podLabels(t, r)
		selectors(t, r, func(o object, selector labels.Selector) {
			for _, set := range there {
				if selector.Matches(set) {
					return
				}
			}
			t.Errorf("%s selects %s, which no pod is", o, selector)
		})
	})
}

// A budget's may: it is looked up when a pod is about to go, and can be changed.
func TestNoSelectorButABudgetsHoldsTheRole(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		selectors(t, r, func(o object, selector labels.Selector) {
			requirements, _ := selector.Requirements()
			for _, requirement := range requirements {
				if requirement.Key() == "role" && o.kind != "PodDisruptionBudget" {
					t.Errorf("%s selects by the role, which changes while a pod runs: %s", o, selector)
				}
			}
		})
	})
}

func TestABudgetIsForWhoWorksProduction(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		configuration := configurationOf(t, r)
		selectors(t, r, func(o object, selector labels.Selector) {
			if o.kind != "PodDisruptionBudget" {
				return
			}
			for _, p := range pods(t, r) {
				if works := configuration.Roles[p.role] == "production"; selector.Matches(labels.Set(p.Labels)) != works {
					t.Errorf("%s: pods of %s as %q: works production: %t, and yet selects %s", o, p.of, p.role, works, selector)
				}
			}
		})
	})
}
