package manifests

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// definitions are where the custom resources that we use are defined: a module,
// and a file in it.
var definitions = map[string][2]string{
	"argoproj.io/v1alpha1 Rollout":            {"github.com/argoproj/argo-rollouts", "manifests/crds/rollout-crd.yaml"},
	"argoproj.io/v1alpha1 AnalysisTemplate":   {"github.com/argoproj/argo-rollouts", "manifests/crds/analysis-template-crd.yaml"},
	"postgresql.cnpg.io/v1 Cluster":           {"github.com/cloudnative-pg/cloudnative-pg", "config/crd/bases/postgresql.cnpg.io_clusters.yaml"},
	"keda.sh/v1alpha1 ScaledObject":           {"github.com/kedacore/keda/v2", "config/crd/bases/keda.sh_scaledobjects.yaml"},
	"keda.sh/v1alpha1 TriggerAuthentication":  {"github.com/kedacore/keda/v2", "config/crd/bases/keda.sh_triggerauthentications.yaml"},
	"monitoring.coreos.com/v1 PodMonitor":     {"github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"},
	"monitoring.coreos.com/v1 PrometheusRule": {"github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"},
}

func TestEveryObjectIsOfAKindThatIsChecked(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, o := range r.objects {
			if _, defined := definitions[o.version+" "+o.kind]; o.typed == nil && !defined {
				t.Errorf("%s has neither a type nor a definition here", o)
			}
		}
	})
}

func TestCustomResourcesFitTheirDefinitions(t *testing.T) {
	schemas := map[string]*jsonschema.Schema{}
	for kind, definition := range definitions {
		schemas[kind] = schema(t, definition)
	}
	each(t, func(t *testing.T, r rendering) {
		for _, o := range r.objects {
			if schema := schemas[o.version+" "+o.kind]; schema != nil {
				if err := schema.Validate(o.fields); err != nil {
					t.Errorf("%s: %v", o, err)
				}
			}
		}
	})
}

// schema is that of a custom resource, of the version that is listed first.
func schema(t *testing.T, definition [2]string) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(downloaded(t, definition[0]), definition[1]))
	if err != nil {
		t.Fatal(err)
	}
	var crd map[string]any
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft4) // its exclusiveMinimum is a boolean, as in OpenAPI 3.0
	if err := compiler.AddResource("urn:definition", closed(find(crd, "spec.versions[0].schema.openAPIV3Schema")[0])); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("urn:definition")
	if err != nil {
		t.Fatalf("%s: %v", definition[1], err)
	}
	return compiled
}

// closed makes a JSON schema of a Kubernetes one: what is not among an object's
// properties is an error, as it is to kubectl.
func closed(part any) any {
	switch part := part.(type) {
	case []any:
		for i := range part {
			part[i] = closed(part[i])
		}
	case map[string]any:
		for name := range part {
			part[name] = closed(part[name])
		}
		_, known := part["properties"]
		_, more := part["additionalProperties"]
		if known && !more && part["type"] == "object" && part["x-kubernetes-preserve-unknown-fields"] != true {
			part["additionalProperties"] = false
		}
	}
	return part
}

// downloaded is the folder of a module that go.mod requires.
func downloaded(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module).Output()
	var found struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(out, &found)
	}
	if err != nil {
		t.Fatalf("go mod download %s: %v: %s", module, err, out)
	}
	return found.Dir
}
