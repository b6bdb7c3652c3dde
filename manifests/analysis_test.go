package manifests

import (
	"math"
	"slices"
	"strings"
	"testing"

	rollouts "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/utils/evaluate"
	"github.com/sirupsen/logrus"
)

// namespace stands for the one that everything is applied to.
const namespace = "shop"

// analyses are the templates that the Rollout uses, with the arguments that it
// gives them put in, as Argo does it.
func analyses(t *testing.T, r rendering) (all []rollouts.AnalysisTemplate) {
	t.Helper()
	for _, o := range r.objects {
		rollout, ok := o.typed.(*rollouts.Rollout)
		if !ok {
			continue
		}
		for _, analysis := range analysesOf(rollout) {
			for _, template := range analysis.Templates {
				all = append(all, resolve(t, r, template.TemplateName, arguments(o, analysis.Args)))
			}
		}
	}
	return all
}

func analysesOf(rollout *rollouts.Rollout) (all []*rollouts.RolloutAnalysis) {
	if s := rollout.Spec.Strategy.BlueGreen; s != nil {
		all = append(all, s.PrePromotionAnalysis, s.PostPromotionAnalysis)
	}
	if s := rollout.Spec.Strategy.Canary; s != nil {
		for _, step := range s.Steps {
			all = append(all, step.Analysis)
		}
	}
	return slices.DeleteFunc(all, func(a *rollouts.RolloutAnalysis) bool { return a == nil })
}

// arguments are the values that a Rollout gives.
func arguments(rollout object, given []rollouts.AnalysisRunArgument) map[string]string {
	values := map[string]string{}
	for _, arg := range given {
		switch from := arg.ValueFrom; {
		case from == nil:
			values[arg.Name] = arg.Value
		case from.PodTemplateHashValue != nil:
			values[arg.Name] = "5c7d4f8b9d"
		case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.namespace":
			values[arg.Name] = namespace
		case from.FieldRef != nil:
			values[arg.Name] = first(rollout.fields, from.FieldRef.FieldPath)
		}
	}
	return values
}

// resolve puts values, or else the template's own, into a template.
func resolve(t *testing.T, r rendering, name string, values map[string]string) rollouts.AnalysisTemplate {
	t.Helper()
	var pairs []string
	for _, arg := range named[rollouts.AnalysisTemplate](t, r, name).Spec.Args {
		value := values[arg.Name]
		if value == "" && arg.Value != nil {
			value = *arg.Value
		}
		if value == "" {
			t.Errorf("the Rollout gives AnalysisTemplate %s no %s, or one that is empty", name, arg.Name)
		}
		pairs = append(pairs, "{{args."+arg.Name+"}}", value)
	}
	i := slices.IndexFunc(r.objects, func(o object) bool { return o.kind == "AnalysisTemplate" && o.name == name })
	text := strings.NewReplacer(pairs...).Replace(r.objects[i].text)
	if strings.Contains(text, "{{") {
		t.Errorf("AnalysisTemplate %s uses an argument that it does not declare", name)
	}
	o, err := decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return *o.typed.(*rollouts.AnalysisTemplate)
}

func TestAnalysesAreGivenTheArgumentsThatTheyUse(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		if len(analyses(t, r)) == 0 {
			t.Error("the Rollout has no analysis, and so no gate")
		}
	})
}

func TestTheGateHasOneTryAndMigratesAfterTheSmoke(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		gate := *named[rollouts.AnalysisTemplate](t, r, prefix(r)+"gate")
		if len(gate.Spec.Metrics) != 1 {
			t.Fatalf("the gate has %d metrics, which run side by side: one Job keeps the order", len(gate.Spec.Metrics))
		}
		job := gate.Spec.Metrics[0].Provider.Job.Spec
		if job.BackoffLimit == nil || *job.BackoffLimit != 0 {
			t.Error("the gate's Job tries again: a verdict is one try")
		}
		before, then := job.Template.Spec.InitContainers, job.Template.Spec.Containers
		if len(before) != 1 || before[0].Args[0] != "smoke" || len(then) != 1 || then[0].Args[0] != "migrate" {
			t.Error("the gate's Job is not smoke as init container, and migrate as container")
		}
	})
}

// prefix is what a rendering has before the names of the base.
func prefix(r rendering) string {
	for _, o := range r.objects {
		if o.kind == "Rollout" {
			return strings.TrimSuffix(o.name, "worker")
		}
	}
	return ""
}

func TestThatNothingWasMeasuredIsNoFailureAndAnOldQueueIsAPersonsToJudge(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, template := range analyses(t, r) {
			for _, metric := range template.Spec.Metrics {
				if metric.Provider.Prometheus == nil {
					continue
				}
				bad := map[string]rollouts.AnalysisPhase{
					"failure-rate":         rollouts.AnalysisPhaseFailed,
					"production-queue-age": rollouts.AnalysisPhaseInconclusive,
				}[metric.Name]
				judge(t, metric, []float64{}, rollouts.AnalysisPhaseSuccessful)
				judge(t, metric, []float64{math.NaN()}, rollouts.AnalysisPhaseSuccessful)
				judge(t, metric, []float64{0}, rollouts.AnalysisPhaseSuccessful)
				judge(t, metric, []float64{1000}, bad)
			}
		}
	})
}

func judge(t *testing.T, metric rollouts.Metric, result []float64, want rollouts.AnalysisPhase) {
	t.Helper()
	got, err := evaluate.EvaluateResult(result, metric, *logrus.NewEntry(logrus.StandardLogger()))
	if err != nil || got != want {
		t.Errorf("%s: result %v: %s, %v, want %s", metric.Name, result, got, err, want)
	}
}
