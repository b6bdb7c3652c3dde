package manifests

import (
	"slices"
	"testing"

	core "k8s.io/api/core/v1"
)

// reference is what one object says of another: its kind and name, and perhaps
// a key in it.
type reference struct{ by, kind, name, key string }

// mention is a place where a kind of object names another.
type mention struct{ by, in, field, kind string }

var mentions = []mention{
	{"Rollout", "spec.strategy.blueGreen", "activeService", "Service"},
	{"Rollout", "spec.strategy.blueGreen", "previewService", "Service"},
	{"Rollout", "spec.strategy.canary", "stableService", "Service"},
	{"Rollout", "spec.strategy.canary", "canaryService", "Service"},
	{"Rollout", "spec.strategy.blueGreen.prePromotionAnalysis.templates[]", "templateName", "AnalysisTemplate"},
	{"Rollout", "spec.strategy.canary.steps[].analysis.templates[]", "templateName", "AnalysisTemplate"},
	{"StatefulSet", "spec", "serviceName", "Service"},
	{"ScaledObject", "spec.scaleTargetRef", "name", "Rollout"},
	{"ScaledObject", "spec.triggers[].authenticationRef", "name", "TriggerAuthentication"},
	{"TriggerAuthentication", "spec.secretTargetRef[]", "name", "Secret"},
	{"Cluster", "spec.bootstrap.initdb.postInitApplicationSQLRefs.configMapRefs[]", "name", "ConfigMap"},
	{"Cluster", "spec.bootstrap.initdb.secret", "name", "Secret"},
	{"Cluster", "spec.managed.roles[].passwordSecret", "name", "Secret"},
}

// references are all of a rendering.
func references(t *testing.T, r rendering) (all []reference) {
	t.Helper()
	for _, o := range r.objects {
		for _, m := range mentions {
			if m.by != o.kind {
				continue
			}
			for _, in := range find(o.fields, m.in) {
				if name := first(in, m.field); name != "" {
					all = append(all, reference{o.String(), m.kind, name, first(in, "key")})
				}
			}
		}
	}
	for _, p := range pods(t, r) {
		all = append(all, p.references()...)
	}
	return all
}

func (p pod) references() []reference {
	all := []reference{}
	if p.Spec.ServiceAccountName != "" {
		all = append(all, reference{p.of, "ServiceAccount", p.Spec.ServiceAccountName, ""})
	}
	for _, volume := range p.Spec.Volumes {
		for _, source := range sources(volume) {
			all = append(all, source.references(p.of)...)
		}
	}
	return all
}

// source is a ConfigMap or a Secret that is mounted: items of it, or all of it.
type source struct {
	kind, name string
	items      []core.KeyToPath
}

// sources are those of a volume, whatever its kind.
func sources(volume core.Volume) (all []source) {
	projected := core.ProjectedVolumeSource{}
	if volume.Projected != nil {
		projected = *volume.Projected
	}
	if s := volume.Secret; s != nil {
		all = append(all, source{"Secret", s.SecretName, s.Items})
	}
	if c := volume.ConfigMap; c != nil {
		all = append(all, source{"ConfigMap", c.Name, c.Items})
	}
	for _, part := range projected.Sources {
		if s := part.Secret; s != nil {
			all = append(all, source{"Secret", s.Name, s.Items})
		}
		if c := part.ConfigMap; c != nil {
			all = append(all, source{"ConfigMap", c.Name, c.Items})
		}
	}
	return all
}

func (s source) references(by string) []reference {
	all := []reference{{by, s.kind, s.name, ""}}
	for _, item := range s.items {
		all = append(all, reference{by, s.kind, s.name, item.Key})
	}
	return all
}

// keys are what a ConfigMap or Secret holds. There are also the Secrets that go
// with a rendering, and those that CloudNativePG makes.
func (r rendering) keys(kind, name string) (keys []string, found bool) {
	for _, o := range r.objects {
		if o.kind == kind && o.name == name {
			data, _ := o.fields["data"].(map[string]any)
			for key := range data {
				keys = append(keys, key)
			}
			return keys, true
		}
		if o.kind == "Cluster" && kind == "Secret" && name == o.name+"-ca" {
			return []string{"ca.crt"}, true
		}
	}
	if secret, ok := r.secrets[name]; ok && kind == "Secret" {
		for key := range secret.StringData {
			keys = append(keys, key)
		}
		return keys, true
	}
	return nil, false
}

func TestWhatIsReferredToIsThere(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		all := references(t, r)
		if len(all) < 10 {
			t.Errorf("only %d references were found", len(all))
		}
		for _, ref := range all {
			keys, found := r.keys(ref.kind, ref.name)
			switch {
			case !found:
				t.Errorf("%s refers to %s %s, which is not there", ref.by, ref.kind, ref.name)
			case ref.key != "" && !slices.Contains(keys, ref.key):
				t.Errorf("%s refers to the key %s of %s %s, which has %v", ref.by, ref.key, ref.kind, ref.name, keys)
			}
		}
	})
}
