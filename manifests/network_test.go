package manifests

import (
	"net/url"
	"testing"

	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func TestPostgresLetsInEveryPodOfOursAndNoneFromElsewhere(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, policy := range of[networking.NetworkPolicy](r) {
			if policy.Name != prefix(r)+"postgres" {
				continue
			}
			from := policy.Spec.Ingress[0].From
			if len(policy.Spec.Ingress) != 1 || len(from) != 1 || from[0].NamespaceSelector != nil {
				t.Fatalf("NetworkPolicy %s lets in more than one kind of pods of its namespace", policy.Name)
			}
			for _, p := range pods(t, r) {
				if !matches(t, from[0].PodSelector, p.Labels) {
					t.Errorf("NetworkPolicy %s keeps out the pods of %s", policy.Name, p.of)
				}
			}
		}
	})
}

func matches(t *testing.T, selector *meta.LabelSelector, set map[string]string) bool {
	t.Helper()
	parsed, err := meta.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Matches(labels.Set(set))
}

// portsByName are the places where a kind of object calls a pod's port by name.
var portsByName = map[string]string{
	"Service":       "spec.ports[].targetPort",
	"PodMonitor":    "spec.podMetricsEndpoints[].port",
	"NetworkPolicy": "spec.ingress[].ports[].port",
}

func TestPortsAreCalledWhatThePodsCallThem(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		known := map[string]bool{}
		for _, p := range pods(t, r) {
			for _, c := range p.containers() {
				for _, port := range c.Ports {
					known[port.Name] = true
				}
			}
		}
		for _, o := range r.objects {
			for _, port := range find(o.fields, portsByName[o.kind]) {
				if name, isName := port.(string); isName && !known[name] {
					t.Errorf("%s: no pod has a port %s", o, name)
				}
			}
		}
	})
}

func TestTheServersThatDSNsNameAreThere(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		servers := map[string]bool{}
		for _, o := range r.objects {
			switch o.kind {
			case "Service":
				servers[o.name] = true
			case "Cluster":
				servers[o.name+"-rw"] = true
				servers[o.name+"-rw."+namespace+".svc"] = true // from another namespace
			}
		}
		if !servers["postgres"] && !servers["postgres-rw"] {
			return // it has no server, or gives it another name
		}
		for name, secret := range r.secrets {
			if dsn, err := url.Parse(secret.StringData["dsn"]); err != nil || dsn.Host != "" && !servers[dsn.Hostname()] {
				t.Errorf("Secret %s: its DSN is wrong, or leads to another server than those there: %v, %v", name, servers, err)
			}
		}
	})
}
