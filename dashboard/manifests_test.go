package dashboard_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
)

var (
	// wanted is a metric of ours in a query, and the labels that it is to have.
	wanted = regexp.MustCompile(`(understudy_\w+)\{(.*?[^}])\}(?:[^}]|$)`)
	// wantedLabel is one of those: its name, and its value or several.
	wantedLabel = regexp.MustCompile(`(\w+)=~?"([^"]*)"`)
)

func TestTheManifestsAnalysisAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	there := labelsByMetric(t)
	all := wanted.FindAllStringSubmatch(manifest(t, "worker-health.yaml"), -1)
	if len(all) != 3 {
		t.Fatalf("worker-health.yaml asks for %d metrics, want 3: %q", len(all), all)
	}
	monitor := manifest(t, "pod-monitor.yaml")
	for _, match := range all {
		for _, label := range wantedLabel.FindAllStringSubmatch(match[2], -1) {
			name := label[1]
			added := name == "namespace" || strings.Contains(monitor, "targetLabel: "+name+"}") // by the Prometheus Operator, or for it
			if !added && !slices.Contains(there[match[1]], name) {
				t.Errorf("%s has no label %s: it has %v", match[1], name, there[match[1]])
			}
			if name == "outcome" {
				mustBeOutcomes(t, label[2])
			}
		}
	}
}

func manifest(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../manifests/components/monitoring/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// labelsByMetric are the labels that each metric has.
func labelsByMetric(t *testing.T) map[string][]string {
	t.Helper()
	reg := prometheus.NewRegistry()
	use(dashboard.NewMetrics(reg, allSources()), production)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, family := range families {
		for _, pair := range family.GetMetric()[0].GetLabel() {
			all[family.GetName()] = append(all[family.GetName()], pair.GetName())
		}
	}
	return all
}

func mustBeOutcomes(t *testing.T, pattern string) {
	t.Helper()
	for outcome := range strings.SplitSeq(pattern, "|") {
		if !slices.ContainsFunc(understudy.Verdicts[:], func(v understudy.Verdict) bool { return v.String() == outcome }) {
			t.Errorf("there is no outcome %q", outcome)
		}
	}
}
