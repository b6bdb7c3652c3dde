package manifests

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

// grafana is what the rules need of a dashboard's JSON.
type grafana struct {
	ID            *int
	UID           string
	SchemaVersion int
	Templating    struct{ List []variable }
	Panels        []panel
}

// variable is what a person chooses above the panels.
type variable struct {
	Name, Type, AllValue string
	Datasource           datasource
}

type datasource struct{ Type, UID string }

type panel struct {
	ID          int
	Type, Title string
	Datasource  datasource
	GridPos     rectangle
	Targets     []query
}

// rectangle is a place in a grid of 24 columns.
type rectangle struct{ X, Y, W, H int }

type query struct {
	RefID, Expr string
	Datasource  datasource
}

// chosen is the data source that the person chooses, whatever its id is there.
var chosen = datasource{"prometheus", "${datasource}"}

func grafanaDashboard(t *testing.T) (d grafana) {
	t.Helper()
	if err := json.Unmarshal(readFile(t, "components/monitoring/grafana-dashboard.json"), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) < 10 || d.SchemaVersion < 36 {
		t.Fatalf("the dashboard has %d panels and schema version %d: is it one of Grafana 10?", len(d.Panels), d.SchemaVersion)
	}
	return d
}

func TestGrafanaFindsTheDashboardByItsLabel(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		monitored := slices.ContainsFunc(r.objects, func(o object) bool { return o.kind == "PodMonitor" })
		found := 0
		for _, config := range of[core.ConfigMap](r) {
			if config.Labels["grafana_dashboard"] == "1" && json.Valid([]byte(config.Data["understudy.json"])) {
				found++
			}
		}
		if (found == 1) != monitored {
			t.Errorf("it has %d dashboards; monitored: %t", found, monitored)
		}
		rules := slices.ContainsFunc(r.objects, func(o object) bool { return o.kind == "PrometheusRule" })
		if rules != monitored {
			t.Errorf("it has rules: %t; monitored: %t", rules, monitored)
		}
	})
}

func TestTheDashboardBelongsToNoInstallation(t *testing.T) {
	t.Parallel()
	d := grafanaDashboard(t)
	if d.ID != nil {
		t.Errorf("it has the id %d", *d.ID)
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" && (v.Datasource != chosen || v.AllValue != ".*") {
			t.Errorf("the variable %s is of %v, and all of it is %q", v.Name, v.Datasource, v.AllValue)
		}
	}
	for _, p := range d.Panels {
		if p.Datasource != chosen {
			t.Errorf("panel %q is of %v", p.Title, p.Datasource)
		}
		for _, q := range p.Targets {
			if q.Datasource != chosen {
				t.Errorf("query %s of panel %q is of %v", q.RefID, p.Title, q.Datasource)
			}
		}
	}
}

func TestPanelsHaveIdsAndPlacesOfTheirOwn(t *testing.T) {
	t.Parallel()
	ids, taken := map[int]string{}, map[[2]int]string{}
	for _, p := range grafanaDashboard(t).Panels {
		if other, twice := ids[p.ID]; twice || p.ID <= 0 || p.Title == "" || p.Type == "" {
			t.Errorf("panel %q of type %q has the id %d, as has %q", p.Title, p.Type, p.ID, other)
		}
		ids[p.ID] = p.Title
		g := p.GridPos
		if g.W <= 0 || g.H <= 0 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("panel %q is at %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other, taken := taken[[2]int{x, y}]; taken {
					t.Fatalf("panel %q covers %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// Prometheus parses an expression of a recording rule as it parses a query.
func TestPrometheusTakesTheDashboardsQueries(t *testing.T) {
	t.Parallel()
	d := grafanaDashboard(t)
	put := []string{"$__rate_interval", "1m"}
	for _, v := range d.Templating.List {
		put = append(put, "$"+v.Name, ".*")
	}
	var rules []map[string]string
	for _, p := range d.Panels {
		refs := map[string]bool{}
		for _, q := range p.Targets {
			expr := strings.NewReplacer(put...).Replace(q.Expr)
			if refs[q.RefID] || q.RefID == "" || strings.Contains(expr, "$") {
				t.Errorf("panel %q: query %q is there twice, or has a variable that nobody declares: %s", p.Title, q.RefID, expr)
			}
			refs[q.RefID] = true
			rules = append(rules, map[string]string{"record": fmt.Sprintf("panel:%d:%s", p.ID, q.RefID), "expr": expr})
		}
		if len(refs) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
	}
	dir := t.TempDir()
	groups := map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}}
	write(t, filepath.Join(dir, "queries.yaml"), marshal(t, groups))
	mustPass(t, dir, "check", "rules", "--lint-fatal", "queries.yaml")
}
