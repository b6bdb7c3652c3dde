package manifests

import (
	"maps"
	"slices"
	"testing"
	"time"

	rollouts "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
)

func TestBothMetadataBlocksHoldTheSameKeys(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, rollout := range of[rollouts.Rollout](r) {
			blocks := roles(rollout)
			if blocks[0] == nil || blocks[1] == nil {
				t.Fatalf("Rollout %s lacks a metadata block", rollout.Name)
			}
			for i, values := range [][2]map[string]string{{blocks[0].Labels, blocks[1].Labels}, {blocks[0].Annotations, blocks[1].Annotations}} {
				one, other := slices.Sorted(maps.Keys(values[0])), slices.Sorted(maps.Keys(values[1]))
				if !slices.Equal(one, other) {
					t.Errorf("Rollout %s: keys of %s: %v and %v", rollout.Name, [2]string{"labels", "annotations"}[i], one, other)
				}
			}
		}
	})
}

func TestTheWorkerMapsTheRolesThatArgoGives(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		mapped := configurationOf(t, r).Roles
		for _, rollout := range of[rollouts.Rollout](r) {
			for i, metadata := range roles(rollout) {
				role, want := metadata.Labels["role"], [2]string{"production", "preview"}[i]
				if mapped[role] != want {
					t.Errorf("Rollout %s: the role %q leads to %q, want %q", rollout.Name, role, mapped[role], want)
				}
			}
		}
	})
}

// Times that are added to the longest drain.
const (
	labelLag = 90 * time.Second // until a label has reached a pod's file
	closing  = 10 * time.Second // outcomes are written, pages closed
)

// seconds are 0 where nothing is said: the defaults are too short in any case.
func seconds[N int32 | int64](said *N) time.Duration {
	if said == nil {
		return 0
	}
	return time.Duration(*said) * time.Second
}

func TestTheScaleDownDelayIsAboveTheDrainAndTheLagOfLabels(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		least := configurationOf(t, r).longestDrain(t) + labelLag
		for _, rollout := range of[rollouts.Rollout](r) {
			if s := rollout.Spec.Strategy.BlueGreen; s != nil {
				if delay := seconds(s.ScaleDownDelaySeconds); delay <= least {
					t.Errorf("scaleDownDelaySeconds is %v, want more than %v", delay, least)
				}
			}
		}
	})
}

func TestTheGracePeriodIsAboveTheDrain(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		least := configurationOf(t, r).longestDrain(t) + closing
		for _, rollout := range of[rollouts.Rollout](r) {
			if grace := seconds(rollout.Spec.Template.Spec.TerminationGracePeriodSeconds); grace <= least {
				t.Errorf("terminationGracePeriodSeconds is %v, want more than %v", grace, least)
			}
		}
	})
}

func TestAPersonPromotes(t *testing.T) {
	each(t, func(t *testing.T, r rendering) {
		for _, rollout := range of[rollouts.Rollout](r) {
			if s := rollout.Spec.Strategy.BlueGreen; s != nil && (s.AutoPromotionEnabled == nil || *s.AutoPromotionEnabled || s.AutoPromotionSeconds > 0) {
				t.Error("the Rollout promotes by itself")
			}
			if s := rollout.Spec.Strategy.Canary; s != nil && !slices.ContainsFunc(s.Steps, waits) {
				t.Error("no step of the Rollout waits for a person")
			}
			if rollout.Spec.RollbackWindow != nil {
				t.Error("within a rollbackWindow an undo passes no gate and no pause")
			}
		}
	})
}

func waits(step rollouts.CanaryStep) bool { return step.Pause != nil && step.Pause.Duration == nil }
