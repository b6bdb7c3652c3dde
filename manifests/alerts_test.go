package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// ruleGroups are what a PrometheusRule specifies, which is a file of Prometheus'
// own as it is.
type ruleGroups struct {
	Groups []struct {
		Name  string  `json:"name"`
		Rules []alert `json:"rules"`
	} `json:"groups"`
}

// alert is one rule.
type alert struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// alertRules are the rules as an overlay of somebody's own renders them.
func alertRules(t *testing.T) (groups ruleGroups) {
	t.Helper()
	all, err := renderings()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		for _, o := range r.objects {
			if o.kind == "PrometheusRule" && r.name == "user with more" {
				text := marshal(t, o.fields["spec"])
				if err := yaml.UnmarshalStrict(text, &groups); err != nil {
					t.Fatal(err)
				}
				return groups
			}
		}
	}
	t.Fatal("there is no PrometheusRule")
	return groups
}

// alerts are all rules of all groups.
func (g ruleGroups) alerts() (all []alert) {
	for _, group := range g.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPrometheusTakesTheAlertRules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules.yaml"), marshal(t, alertRules(t)))
	mustPass(t, dir, "check", "rules", "--lint-fatal", "rules.yaml")
}

func TestAlertsFireWhereTheyAreToAndNowhereElse(t *testing.T) {
	t.Parallel()
	groups := alertRules(t)
	for _, rule := range groups.alerts() { // promtool compares all annotations that there are
		for name := range rule.Annotations {
			if name != "summary" {
				delete(rule.Annotations, name)
			}
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules.yaml"), marshal(t, groups))
	write(t, filepath.Join(dir, "alerts.yaml"), readFile(t, "testdata/alerts.yaml"))
	mustPass(t, dir, "test", "rules", "alerts.yaml")
}

// alertCase is one of testdata/alerts.yaml.
type alertCase struct {
	Alertname string
	Fires     []firing `json:"exp_alerts"`
}

// firing is an alert that is expected.
type firing struct {
	Labels map[string]string `json:"exp_labels"`
}

// fires says whether an alert of that name and severity is expected.
func (c alertCase) fires(a alert) bool {
	return c.Alertname == a.Alert && slices.ContainsFunc(c.Fires, func(f firing) bool { return f.Labels["severity"] == a.Labels["severity"] })
}

func TestEveryAlertIsTriedWhereItFiresAndWhereItIsQuiet(t *testing.T) {
	t.Parallel()
	var file struct {
		Tests []struct {
			Cases []alertCase `json:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(readFile(t, "testdata/alerts.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	var cases []alertCase
	for _, test := range file.Tests {
		cases = append(cases, test.Cases...)
	}
	for _, a := range alertRules(t).alerts() {
		if !slices.ContainsFunc(cases, func(c alertCase) bool { return c.fires(a) }) {
			t.Errorf("no case lets %s fire as %s", a.Alert, a.Labels["severity"])
		}
		if !slices.ContainsFunc(cases, func(c alertCase) bool { return c.Alertname == a.Alert && !c.fires(a) }) {
			t.Errorf("in no case %s is quiet as %s", a.Alert, a.Labels["severity"])
		}
	}
	for _, c := range cases { // a name that nobody has is quiet always
		if !slices.ContainsFunc(alertRules(t).alerts(), func(a alert) bool { return a.Alert == c.Alertname }) {
			t.Errorf("there is no alert %s", c.Alertname)
		}
	}
}

func TestEveryAlertSaysHowBadItIsAndWhatToDo(t *testing.T) {
	t.Parallel()
	page := string(readFile(t, "../docs/deploy.md"))
	for _, a := range alertRules(t).alerts() {
		if severity := a.Labels["severity"]; severity != "warning" && severity != "critical" {
			t.Errorf("%s has the severity %q", a.Alert, severity)
		}
		for _, name := range []string{"summary", "description"} {
			if !strings.Contains(a.Annotations[name], "{{ $labels.") {
				t.Errorf("the %s of %s names no labels: %q", name, a.Alert, a.Annotations[name])
			}
		}
		if !strings.HasSuffix(a.Annotations["runbook_url"], "/docs/deploy.md#alerts") || !strings.Contains(page, "\n### Alerts\n") {
			t.Errorf("the runbook of %s is not there: %s", a.Alert, a.Annotations["runbook_url"])
		}
		if !strings.Contains(page, "\n| `"+a.Alert+"`") {
			t.Errorf("docs/deploy.md has no row of %s", a.Alert)
		}
	}
}
