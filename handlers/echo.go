package handlers

import (
	"context"
	"encoding/json"

	"github.com/understudy-worker/understudy"
)

// echoed is the result of an echo job: its arguments, and who worked it.
type echoed struct {
	Echo    json.RawMessage `json:"echo"`
	Kind    string          `json:"kind"`
	Attempt int             `json:"attempt"`
	Role    string          `json:"role"`
	Target  string          `json:"target"`
	Schema  string          `json:"schema"`
	Version string          `json:"version"`
}

// newEcho makes the handler that completes at once, with an echoed as result.
func newEcho(_ *settings, place understudy.Place) understudy.Handler {
	return understudy.HandlerFunc(func(_ context.Context, job *understudy.Job) error {
		return job.SetResult(echoed{
			Echo:    job.Args,
			Kind:    job.Kind,
			Attempt: job.Attempt,
			Role:    place.Role,
			Target:  place.Target,
			Schema:  place.Schema,
			Version: place.Version,
		})
	})
}
