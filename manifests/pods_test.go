package manifests

import (
	"maps"
	"slices"
	"testing"

	rollouts "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// pod is a pod that a rendering brings about, and what brings it.
type pod struct {
	of   string
	role string // what Argo labels it with, "" for none
	core.PodTemplateSpec
}

// pods are those of the objects that are applied; the Rollout's in each role.
func pods(t *testing.T, r rendering) (all []pod) {
	t.Helper()
	for _, o := range r.objects {
		switch owner := o.typed.(type) {
		case *apps.StatefulSet:
			all = append(all, pod{o.String(), "", owner.Spec.Template})
		case *batch.CronJob:
			all = append(all, pod{o.String(), "", owner.Spec.JobTemplate.Spec.Template})
		case *batch.Job:
			all = append(all, pod{o.String(), "", owner.Spec.Template})
		case *rollouts.Rollout:
			for _, metadata := range roles(owner) {
				template := *owner.Spec.Template.DeepCopy()
				maps.Copy(template.Labels, metadata.Labels)
				all = append(all, pod{o.String(), metadata.Labels["role"], template})
			}
		}
	}
	for _, analysis := range analyses(t, r) {
		for _, metric := range analysis.Spec.Metrics {
			if job := metric.Provider.Job; job != nil {
				all = append(all, pod{"AnalysisTemplate " + analysis.Name, "", job.Spec.Template})
			}
		}
	}
	return all
}

// roles are the metadata that Argo gives to a Rollout's pods.
func roles(rollout *rollouts.Rollout) []*rollouts.PodTemplateMetadata {
	if s := rollout.Spec.Strategy.BlueGreen; s != nil {
		return []*rollouts.PodTemplateMetadata{s.ActiveMetadata, s.PreviewMetadata}
	}
	s := rollout.Spec.Strategy.Canary
	return []*rollouts.PodTemplateMetadata{s.StableMetadata, s.CanaryMetadata}
}

// containers are those of a pod, those that come first included.
func (p pod) containers() []core.Container {
	return slices.Concat(p.Spec.InitContainers, p.Spec.Containers)
}

func TestEveryPodPassesTheRestrictedPodSecurityStandard(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	each(t, func(t *testing.T, r rendering) {
		for _, p := range pods(t, r) {
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &p.ObjectMeta, &p.Spec))
			if !result.Allowed {
				t.Errorf("%s: %s", p.of, result.ForbiddenDetail())
			}
		}
	})
}

func TestEveryContainerHasAReadOnlyRootAndBounds(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, p := range pods(t, r) {
			for _, c := range p.containers() {
				if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
					t.Errorf("%s, container %s: its root can be written to", p.of, c.Name)
				}
				if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
					t.Errorf("%s, container %s: it lacks a request of CPU or memory, or a limit of memory", p.of, c.Name)
				}
			}
		}
	})
}

func TestNoPodHasATokenOfTheAPIServer(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, p := range pods(t, r) {
			if p.Spec.AutomountServiceAccountToken == nil || *p.Spec.AutomountServiceAccountToken {
				t.Errorf("%s: its pods get a token", p.of)
			}
		}
		for _, account := range of[core.ServiceAccount](r) {
			if account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken {
				t.Errorf("ServiceAccount %s gives its pods a token", account.Name)
			}
		}
	})
}
