package dashboard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/web"
	"github.com/understudy-worker/understudy/store"
)

// shownRunning is how many running jobs the page lists: the longest.
const shownRunning = 10

// view is what the page of a worker shows at one moment.
type view struct {
	understudy.Status
	Version, Commit, Pod string
	Count                int64
	ReadOnly             bool
	Tone                 string
	Where                *Where
	Headline             string
	Moving               bool     // between two roles
	Troubles             []string // none when all is well

	Work    understudy.WorkerStatus // zero without an epoch
	Running []understudy.RunningJob // the longest
	Slots   int
	Pool    *Pool
	Lease   time.Duration
	Podinfo Podinfo
	Labels  []labelRow
	pages

	Workers        []store.WorkerRow
	WorkersProblem string
	Depth          int64 // -1 if it is not known
	Depths         []float64
}

type labelRow struct{ Key, Value string }

// view looks at everything once.
func (s *site) view() *view {
	v := &view{
		Status: s.Status(), Version: s.Version, Commit: s.Commit, Pod: s.Pod, Count: s.Count(), ReadOnly: s.ReadOnly,
		Where: s.Where(), Pool: s.Pool(), Lease: s.Lease, Podinfo: s.Podinfo(), pages: s.Metrics.journal.read(),
	}
	if work := s.Worker(); work != nil {
		v.Work = *work
		v.Running = work.Running[:min(len(work.Running), shownRunning)]
		for _, q := range work.Queues {
			v.Slots += q.Concurrency
		}
	}
	for _, key := range slices.Sorted(maps.Keys(v.Podinfo.Labels)) {
		v.Labels = append(v.Labels, labelRow{key, v.Podinfo.Labels[key]})
	}
	v.Workers, v.WorkersProblem, v.Depths = s.database.read(v.Serving)
	v.Depth = int64(v.Depths[len(v.Depths)-1])
	v.Tone, v.Headline, v.Troubles = tone(v.Role, v.Target), v.headline(), v.troubles()
	v.Moving = v.Phase == understudy.PhaseDraining || v.Phase == understudy.PhaseOpening || v.Phase == understudy.PhaseStarting
	return v
}

// Title is that of the browser's tab.
func (v *view) Title() string {
	return fmt.Sprintf("%s · %s · Understudy", v.RoleWord(), v.Version)
}

// RoleWord is the role in a word.
func (v *view) RoleWord() string {
	if v.Role == "" {
		return "idle"
	}
	return v.Role
}

// headline says what the process is doing.
func (v *view) headline() string {
	switch v.Phase {
	case understudy.PhaseServing:
		return "Serving " + v.Serving.Target
	case understudy.PhaseDraining:
		next := "then idle"
		if v.Target != "" {
			next = "then serves " + v.Target
		}
		return fmt.Sprintf("Draining %s: %s left, %s", v.Serving.Target, jobs(len(v.Work.Running)), next)
	case understudy.PhaseOpening:
		return "Opening " + v.Target + ": connects, checks and migrates it before the first claim"
	case understudy.PhaseStarting:
		return "Starting: the pod files have not been read yet"
	case understudy.PhaseStopped:
		return "Stopped"
	}
	if v.Role == "" {
		return "Idle: claims nothing, waits for a role"
	}
	return fmt.Sprintf("Idle: the role %q has no target to serve", v.Role)
}

func jobs(n int) string {
	if n == 1 {
		return "1 job"
	}
	return fmt.Sprintf("%d jobs", n)
}

// tooManyUnrecorded is when outcomes that wait to be recorded are worth a word.
const tooManyUnrecorded = 1000

// troubles says what is not as it should be, the worst first.
func (v *view) troubles() (all []string) {
	if v.Problem != "" {
		all = append(all, v.Problem)
	}
	if v.Unreadable {
		all = append(all, "the pod files cannot be read for longer than podinfo.grace")
	}
	if v.Podinfo.Err != "" {
		all = append(all, "pod files: "+v.Podinfo.Err)
	}
	if age := time.Since(v.Work.RenewedAt); v.Phase == understudy.PhaseServing && !v.Work.RenewedAt.IsZero() && age > v.Lease/3 {
		all = append(all, fmt.Sprintf("the lease, of %s, was last renewed %s ago: can the database be reached? The log says more", v.Lease, web.Span(age)))
	}
	if v.Work.Unrecorded > tooManyUnrecorded {
		all = append(all, fmt.Sprintf("%d outcomes wait to be recorded", v.Work.Unrecorded))
	}
	for _, f := range v.Work.Failing {
		if f.Failures >= manyFailures {
			all = append(all, fmt.Sprintf("%s fails, %d times in a row since %s ago: %s", taskWords[f.Task], f.Failures, web.Span(time.Since(f.Since)), f.Error))
		}
	}
	return all
}

// manyFailures of housekeeping, one after the other, are no mishap.
const manyFailures = 3

// taskWords are the tasks of housekeeping in words.
var taskWords = map[string]string{
	"promote": "moving scheduled jobs to where they are claimed from",
	"rescue":  "taking jobs back from lost workers",
	"prune":   "dropping what was finished longer ago than the retention",
}

// MoreRunning is how many jobs run that are not listed.
func (v *view) MoreRunning() int { return len(v.Work.Running) - len(v.Running) }

// Throughputs and Queue are the plots.
func (v *view) Throughputs() web.Plot {
	return web.Plot{Span: "5 minutes", Lines: []web.Line{
		{Name: "completed a second", Class: "good", Values: v.Completed},
		{Name: "failed a second", Class: "bad", Values: v.Failed},
	}}
}

// Queue is the plot of the jobs that wait.
func (v *view) Queue() web.Plot {
	return web.Plot{Span: "5 minutes", Lines: []web.Line{{Name: "jobs due", Class: "depth", Values: v.Depths}}}
}

// DepthWord is the number of jobs that wait.
func (v *view) DepthWord() (string, error) {
	switch {
	case v.Depth < 0:
		return "–", nil
	case v.Depth >= depthLimit:
		count, err := web.Count(depthLimit)
		return count + "+", err
	}
	return web.Count(v.Depth)
}

// Tone is the colour of an epoch.
func (e epochEntry) Tone() string { return tone(e.Role, e.Target) }

// tone is the colour of a role: blue works in production, green in preview.
func tone(role, target string) string {
	switch role {
	case "":
		return web.Grey
	case "active", "stable":
		return web.Blue
	case "preview", "canary":
		return web.Green
	}
	if strings.HasPrefix(target, "preview") {
		return web.Green
	}
	return web.Blue
}
