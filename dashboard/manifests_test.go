package dashboard_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/understudy-worker/understudy/dashboard"
)

var (
	// wanted is a metric of ours in a query, and the labels that it is to have.
	wanted = regexp.MustCompile(`(understudy_\w+)(?:\{(.*?[^}])\}(?:[^}]|$))?`)
	// wantedLabel is one of those: its name, and its value or several.
	wantedLabel = regexp.MustCompile(`(\w+)(?:=|!=|=~|!~)"([^"]*)"`)
	// grouped are the labels that a query groups or matches by.
	grouped = regexp.MustCompile(`\b(by|on) \(([^)]*)\)`)
	// shown is a label in the legend of a panel.
	shown = regexp.MustCompile(`\{\{(\w+)\}\}`)
	// ofHistogram is what the name of a histogram has behind it in a query.
	ofHistogram = regexp.MustCompile(`_(bucket|sum|count)$`)
)

func TestTheManifestsAnalysisAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	if asked := mustBeThere(t, manifest(t, "worker-health.yaml")); asked != 3 {
		t.Fatalf("worker-health.yaml asks for %d metrics, want 3", asked)
	}
}

func TestTheManifestsAlertsAndDashboardAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	for name, least := range map[string]int{"rules.yaml": 8, "grafana-dashboard.json": 16} {
		asked := map[string]bool{}
		for _, query := range queries(t, name) {
			mustBeThere(t, query["expr"])
			for _, match := range wanted.FindAllStringSubmatch(query["expr"], -1) {
				asked[match[1]] = true
			}
			for _, label := range shown.FindAllStringSubmatch(query["legendFormat"], -1) {
				if !slices.Contains(labelsIn(query["expr"], "by"), label[1]) {
					t.Errorf("%s: the legend %q is not of what is asked for: %s", name, query["legendFormat"], query["expr"])
				}
			}
		}
		for _, query := range variables(t, name) {
			mustBeThere(t, query)
		}
		if len(asked) < least {
			t.Errorf("%s asks for %d metrics, want %d at least: %v", name, len(asked), least, asked)
		}
	}
}

// mustBeThere checks that a worker exports the metrics of a query, with the labels
// and outcomes that it asks for, and returns how many it names.
func mustBeThere(t *testing.T, query string) int {
	t.Helper()
	there := valuesByMetric(t)
	known := []string{}
	all := wanted.FindAllStringSubmatch(query, -1)
	for _, match := range all {
		labels, exists := there[ofHistogram.ReplaceAllString(match[1], "")]
		if !exists {
			t.Errorf("no worker exports %s", match[1])
		}
		for name := range labels {
			known = append(known, name)
		}
		for _, label := range wantedLabel.FindAllStringSubmatch(match[2], -1) {
			name, values := label[1], label[2]
			if labels[name] == nil && !added(t, name) {
				t.Errorf("%s has no label %s: it has %v", match[1], name, labels)
			}
			for value := range strings.SplitSeq(values, "|") {
				if name == "outcome" && !slices.Contains(labels[name], value) {
					t.Errorf("%s has no outcome %q: it has %v", match[1], value, labels[name])
				}
			}
		}
	}
	for _, name := range labelsIn(query, "by", "on") {
		if name != "le" && !slices.Contains(known, name) && !added(t, name) {
			t.Errorf("nothing has the label %s: %s", name, query)
		}
	}
	return len(all)
}

// labelsIn are those that a query groups by, or matches on.
func labelsIn(query string, how ...string) (all []string) {
	for _, match := range grouped.FindAllStringSubmatch(query, -1) {
		if slices.Contains(how, match[1]) && match[2] != "" {
			all = append(all, strings.Split(match[2], ", ")...)
		}
	}
	return all
}

// added says whether the Prometheus Operator adds a label, by itself or for our
// PodMonitor.
func added(t *testing.T, name string) bool {
	t.Helper()
	return name == "namespace" || name == "pod" || strings.Contains(manifest(t, "pod-monitor.yaml"), "targetLabel: "+name+"}")
}

func manifest(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../manifests/components/monitoring/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// queries are all mappings in a file, YAML or JSON, that have an expr: their texts.
func queries(t *testing.T, name string) (found []map[string]string) {
	t.Helper()
	walk(t, name, func(fields map[string]any) {
		if _, ok := fields["expr"]; !ok {
			return
		}
		texts := map[string]string{}
		for key, value := range fields {
			texts[key], _ = value.(string)
		}
		found = append(found, texts)
	})
	return found
}

// variables are the queries for what a person can choose.
func variables(t *testing.T, name string) (found []string) {
	t.Helper()
	walk(t, name, func(fields map[string]any) {
		if query, ok := fields["definition"].(string); ok {
			metric, label, _ := strings.Cut(strings.Trim(strings.TrimPrefix(query, "label_values"), "()"), ", ")
			found = append(found, "count by ("+label+") ("+metric+")")
		}
	})
	return found
}

// walk visits every mapping in a file.
func walk(t *testing.T, name string, visit func(fields map[string]any)) {
	t.Helper()
	var whole any
	if err := yaml.Unmarshal([]byte(manifest(t, name)), &whole); err != nil {
		t.Fatal(err)
	}
	var into func(part any)
	into = func(part any) {
		switch part := part.(type) {
		case map[string]any:
			visit(part)
			for _, value := range part {
				into(value)
			}
		case []any:
			for _, value := range part {
				into(value)
			}
		}
	}
	into(whole)
}

// valuesByMetric are the labels that each metric has, and their values.
func valuesByMetric(t *testing.T) map[string]map[string][]string {
	t.Helper()
	reg := prometheus.NewRegistry()
	use(dashboard.NewMetrics(reg, allSources()), production)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string][]string{}
	for _, family := range families {
		labels := map[string][]string{}
		for _, metric := range family.GetMetric() {
			for _, pair := range metric.GetLabel() {
				labels[pair.GetName()] = append(labels[pair.GetName()], pair.GetValue())
			}
		}
		all[family.GetName()] = labels
	}
	return all
}
