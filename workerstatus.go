package understudy

import (
	"encoding/json"
	"strconv"
	"time"
)

// WorkerStatus is what the worker of one epoch does, and has done, at one
// moment. It is a copy.
type WorkerStatus struct {
	State string `json:"state"`
	// Running are the jobs whose handler runs, the longest first.
	Running []RunningJob  `json:"running"`
	Queues  []QueueStatus `json:"queues"`
	// Claimed counts the jobs that claims brought.
	Claimed int64 `json:"claimed"`
	// Recorded counts the outcomes that were recorded, by verdict.
	Recorded map[string]int64 `json:"recorded"`
	// Unrecorded are the outcomes that wait to be recorded.
	Unrecorded int `json:"unrecorded"`
	// Fenced counts outcomes of jobs that the worker no longer held.
	Fenced int64 `json:"fenced"`
	// Abandoned counts outcomes that could not be recorded.
	Abandoned int64 `json:"abandoned"`
	// RenewedAt is just before the last confirmed renewal of the lease was
	// sent, by the worker's clock; zero before the epoch is open.
	RenewedAt time.Time `json:"renewed_at"`
	// Failing is the housekeeping of the schema that has failed ever since, in
	// the order of its names.
	Failing []FailingTask `json:"failing,omitempty"`
	// Obstacles are what the worker cannot do now that its jobs depend on, the
	// longest first; empty when all is well.
	Obstacles []Obstacle `json:"obstacles,omitempty"`
}

// FailingTask is housekeeping that fails again and again.
type FailingTask struct {
	Task     string    `json:"task"`     // promote, rescue or prune
	Since    time.Time `json:"since"`    // when it failed first, by the worker's clock
	Failures int       `json:"failures"` // since then, one after the other
	Error    string    `json:"error"`    // the last one's
}

// Obstacle is something that fails again and again.
type Obstacle struct {
	Doing string    `json:"doing"` // what cannot be done: "record outcomes"
	Since time.Time `json:"since"` // by the worker's clock
	Error string    `json:"error"` // of the last try
}

// RunningJob is a job whose handler runs.
type RunningJob struct {
	ID      int64         `json:"id"`
	Queue   string        `json:"queue"`
	Kind    string        `json:"kind"`
	Attempt int           `json:"attempt"`
	Started time.Time     `json:"started"` // by the worker's clock
	Age     time.Duration `json:"age_ns"`
}

// QueueStatus is how busy one queue's slots are.
type QueueStatus struct {
	Queue       string `json:"queue"`
	Concurrency int    `json:"concurrency"`
	Running     int    `json:"running"`
	Buffered    int    `json:"buffered"` // claimed, not started
}

// MarshalJSON adds the id as a text: JavaScript keeps no number beyond 2^53.
func (j RunningJob) MarshalJSON() ([]byte, error) {
	type plain RunningJob
	return json.Marshal(struct {
		plain
		IDText string `json:"id_text"`
	}{plain(j), strconv.FormatInt(j.ID, 10)})
}
