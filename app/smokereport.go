package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
	"github.com/understudy-worker/understudy/supervisor"
)

// shownFaults is how many of the jobs that went wrong are printed for people.
const shownFaults = 10

// smokeReport is what came of a smoke test.
type smokeReport struct {
	OK           bool          `json:"ok"`
	Summary      string        `json:"summary"`
	Run          string        `json:"run"`
	Target       string        `json:"target"`
	Schema       string        `json:"schema"`
	Kind         string        `json:"kind"`
	TemplateHash string        `json:"template_hash,omitempty"`
	Jobs         int           `json:"jobs"`
	Completed    int           `json:"completed"` // by the version asked for
	Cancelled    int           `json:"cancelled"` // by smoke, when its time was up
	Seconds      float64       `json:"seconds"`
	Workers      []smokeWorker `json:"workers"`
	Faults       []smokeFault  `json:"faults"`
}

// smokeWorker is a worker that completed jobs.
type smokeWorker struct {
	Pod          string `json:"pod"`
	Version      string `json:"version"`
	Role         string `json:"role"`
	TemplateHash string `json:"template_hash,omitempty"`
	Completed    int    `json:"completed"`
}

// smokeFault is a job that the version asked for did not complete.
type smokeFault struct {
	store.Fate
	Problem string `json:"problem"`
}

func (t *smokeTest) report() smokeReport {
	r := smokeReport{
		Run: t.run, Target: t.client.target.Name, Schema: t.client.Schema(), Kind: t.job.Kind, TemplateHash: t.hash,
		Jobs: len(t.ids), Cancelled: t.cancelled, Seconds: time.Since(t.began).Seconds(), Faults: []smokeFault{},
	}
	for _, id := range t.ids {
		if fault := t.fault(id); fault != "" {
			fate := t.fates[id]
			fate.ID = id
			r.Faults = append(r.Faults, smokeFault{fate, fault})
		} else {
			r.Completed++
		}
	}
	r.OK = r.Completed == r.Jobs
	r.Workers = t.workers()
	r.Summary = t.summary(r)
	return r
}

// fault is what is wrong with how a job ended; "" if nothing is.
func (t *smokeTest) fault(id int64) string {
	fate, seen := t.fates[id]
	switch {
	case !seen:
		return "is gone: the schema was made anew, or it was pruned"
	case fate.State == understudy.StateCompleted && t.hash != "" && fate.TemplateHash != t.hash:
		return "was completed by another version: " + workedBy(fate)
	case fate.State == understudy.StateCompleted:
		return ""
	case fate.State == understudy.StateDiscarded && fate.WorkerID != "":
		return fmt.Sprintf("was discarded by %s: %s", workedBy(fate), brief(fate.LastError))
	case fate.State == understudy.StateCancelled:
		return "was cancelled by somebody else"
	case fate.State == understudy.StateRunning:
		return "was still running on " + workedBy(fate)
	case fate.LastError != "":
		return fmt.Sprintf("was %s after attempt %d: %s", fate.State, fate.Attempt, brief(fate.LastError))
	}
	return "was still " + string(fate.State)
}

// workedBy names the worker that has a job, or finished it.
func workedBy(f store.Fate) string {
	return fmt.Sprintf("%s (version %s, role %s, %s)", cmp.Or(f.Pod, f.WorkerID), f.Version, f.Role, revision(f.TemplateHash))
}

func revision(hash string) string {
	if hash == "" {
		return "no template hash"
	}
	return "template hash " + hash
}

// workers counts what each worker completed.
func (t *smokeTest) workers() []smokeWorker {
	counts := map[smokeWorker]int{}
	for _, f := range t.fates {
		if f.State == understudy.StateCompleted {
			counts[smokeWorker{Pod: f.Pod, Version: f.Version, Role: f.Role, TemplateHash: f.TemplateHash}]++
		}
	}
	all := []smokeWorker{}
	for w, count := range counts {
		w.Completed = count
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b smokeWorker) int { return cmp.Or(b.Completed-a.Completed, strings.Compare(a.Pod, b.Pod)) })
	return all
}

// summary is the verdict in one line.
func (t *smokeTest) summary(r smokeReport) string {
	by := ""
	if t.hash != "" {
		by = " by " + revision(t.hash)
	}
	text := fmt.Sprintf("%d of %s of kind %q completed%s in %s on schema %q",
		r.Completed, plural(r.Jobs, "job"), r.Kind, by, time.Since(t.began).Round(time.Millisecond), r.Schema)
	if r.Cancelled > 0 {
		text += fmt.Sprintf("; the time (%s) was up and %s cancelled; %s", t.timeout, plural(r.Cancelled, "job"), t.seen())
	}
	if t.trouble != nil {
		text += "; at the end the jobs could not be seen or cancelled: " + supervisor.OneLine(t.trouble)
	}
	return text
}

// seen says who could have worked the jobs that nobody finished.
func (t *smokeTest) seen() string {
	if len(t.live) == 0 {
		return "no live worker serves this schema"
	}
	versions := map[string]int{}
	right := 0
	for _, w := range t.live {
		versions[fmt.Sprintf("version %s in role %s with %s", w.Version, w.Role, revision(w.TemplateHash))]++
		if t.hash == "" || w.TemplateHash == t.hash {
			right++
		}
	}
	var parts []string
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		parts = append(parts, fmt.Sprintf("%d of %s", versions[version], version))
	}
	text := "live workers: " + strings.Join(parts, ", ")
	if right == 0 {
		return text + ", none of the version asked for"
	}
	return text + fmt.Sprintf("; if they leave the jobs alone, see that they have a handler for kind %q and work queue %q", t.job.Kind, t.job.Queue)
}

// smoked prints a report.
func (o *output) smoked(cmd *cobra.Command, r smokeReport) error {
	if o.json() {
		return writeJSON(cmd.OutOrStdout(), r)
	}
	if r.OK {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), r.Summary)
		return err
	}
	var b strings.Builder
	for i, f := range r.Faults {
		if i == shownFaults {
			fmt.Fprintf(&b, "and %s more\n", plural(len(r.Faults)-i, "job"))
			break
		}
		fmt.Fprintf(&b, "job %d %s\n", f.ID, printable(f.Problem))
	}
	_, err := fmt.Fprint(cmd.ErrOrStderr(), b.String())
	return err
}
