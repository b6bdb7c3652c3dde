package understudy

import "time"

// Phase is what a process is doing about its role.
type Phase string

// The phases of a process.
const (
	// PhaseStarting waits for the first reading of the pod files.
	PhaseStarting Phase = "starting"
	// PhaseIdle has nothing to serve and claims nothing.
	PhaseIdle Phase = "idle"
	// PhaseOpening connects to its target, checks it and migrates it.
	PhaseOpening Phase = "opening"
	// PhaseServing claims jobs.
	PhaseServing Phase = "serving"
	// PhaseDraining claims nothing more and waits for what runs.
	PhaseDraining Phase = "draining"
	// PhaseStopped has ended for good.
	PhaseStopped Phase = "stopped"
)

// Status is what a process says about itself at one moment. It is a copy.
type Status struct {
	Phase Phase     `json:"phase"`
	Since time.Time `json:"since"` // when the phase began
	// Role is the role of the pod now, Target the target that it maps to.
	Role   string `json:"role"`
	Target string `json:"target"`
	// Serving is the place of the epoch under way, draining or not; zero without one.
	Serving Place `json:"serving"`
	// EpochSince is when the epoch under way began.
	EpochSince time.Time `json:"epoch_since,omitzero"`
	// Problem says what is wrong: what stands in the way of serving, or what else
	// somebody should mend. Empty when nothing is.
	Problem string `json:"problem,omitempty"`
	// Refused says that Target must not be served as it is configured: it is the
	// same place as a target that comes before it.
	Refused bool `json:"refused,omitempty"`
	// Stalled says what an epoch that serves cannot do, and since when, where its jobs
	// depend on it; empty when nothing is wrong.
	Stalled string `json:"stalled,omitempty"`
	// Unreadable says that the pod files could not be read for longer than the grace.
	Unreadable bool `json:"unreadable,omitempty"`
}
