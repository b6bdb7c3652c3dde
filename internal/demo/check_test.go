package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/rollout"
	"github.com/understudy-worker/understudy/store"
)

// second is the time that many seconds into a recorded run.
func second(s float64) time.Time {
	return time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC).Add(time.Duration(s * float64(time.Second)))
}

func at(s float64) *time.Time {
	t := second(s)
	return &t
}

var (
	one = rollout.Revision{Version: "1.0", Hash: "aaa"}
	two = rollout.Revision{Version: "2.0", Hash: "bbb"}
)

func epochOf(id string, r rollout.Revision, role string, from, to float64) store.WorkerRow {
	return store.WorkerRow{
		ID: id, Version: r.Version, TemplateHash: r.Hash, Role: role, State: "ended", StartedAt: second(from), EndedAt: at(to),
	}
}

func attemptOf(e store.WorkerRow, start float64, failure string) store.Attempt {
	return store.Attempt{
		Number: 1, Worker: e.ID, Version: e.Version, Role: e.Role, StartedAt: at(start), FinishedAt: at(start + 0.2), Error: failure,
	}
}

// done is a completed job with these attempts.
func done(id int64, attempts ...store.Attempt) store.JobRow {
	return store.JobRow{ID: id, State: understudy.StateCompleted, Attempt: 1, Attempts: attempts, Losses: len(attempts) - 1}
}

// recorded is a run in which all promises held: at second 10 version 2.0 is
// promoted, and at second 20 its process is killed and started again.
func recorded() *record {
	var (
		oneActive  = epochOf("e1", one, rollout.RoleActive, 0.1, 10.6)
		twoPreview = epochOf("e2", two, rollout.RolePreview, 0.2, 10.4)
		twoActive  = epochOf("e3", two, rollout.RoleActive, 10.5, 23.5)
		twoAgain   = epochOf("e4", two, rollout.RoleActive, 20.3, 30.1)
	)
	twoActive.State = "lost"
	return &record{
		stints: []stint{
			{one, rollout.RoleActive, second(0), second(10.4)},
			{one, rollout.RoleNone, second(10.4), second(20)},
			{two, rollout.RolePreview, second(0), second(10.3)},
			{two, rollout.RoleActive, second(10.3), second(30)},
		},
		killed: []string{"e3"},
		ledgers: []ledger{
			{
				schema: "production", role: rollout.RoleActive, attended: true, enqueued: []int64{1, 2, 3, 4},
				jobs: []store.JobRow{
					done(1, attemptOf(oneActive, 5, "")),
					done(2, attemptOf(oneActive, 10.5, "")), // before the file was read
					done(3, attemptOf(twoActive, 12, "")),
					done(4, attemptOf(twoActive, 19.9, lost), attemptOf(twoAgain, 23.6, "")),
				},
				epochs: []store.WorkerRow{oneActive, twoActive, twoAgain},
			},
			{
				schema: "preview_bbb", role: rollout.RolePreview, hash: "bbb", enqueued: []int64{1, 2},
				jobs: []store.JobRow{
					done(1, attemptOf(twoPreview, 5, "")),
					{ID: 2, State: understudy.StateAvailable},
				},
				epochs: []store.WorkerRow{twoPreview},
			},
		},
	}
}

func TestARunInWhichAllHeldIsNotBlamed(t *testing.T) {
	t.Parallel()
	if broken := recorded().check(); len(broken) > 0 {
		t.Errorf("blamed for:\n%s", strings.Join(broken, "\n"))
	}
}

func TestAVisitorsJobMayFailAndNotBeClaimedByAnybody(t *testing.T) {
	t.Parallel()
	r := recorded()
	production := &r.ledgers[0]
	right := attemptOf(production.epochs[0], 5, "asked to fail")
	production.jobs = append(production.jobs,
		store.JobRow{ID: 5, Queue: visitorQueue, State: understudy.StateDiscarded, Attempt: 1, Attempts: []store.Attempt{right}},
		store.JobRow{ID: 6, Queue: visitorQueue, State: understudy.StateAvailable},
	)
	if broken := r.check(); len(broken) > 0 {
		t.Errorf("blamed for:\n%s", strings.Join(broken, "\n"))
	}
	late := attemptOf(production.epochs[0], 15, "") // 1.0 had lost the role
	production.jobs = append(production.jobs, store.JobRow{
		ID: 7, Queue: visitorQueue, State: understudy.StateCompleted, Attempt: 1, Attempts: []store.Attempt{late},
	})
	if broken := r.check(); len(broken) != 1 || !strings.Contains(broken[0], "job 7 of schema production was claimed by version 1.0") {
		t.Errorf("blamed for: %q", broken)
	}
}

func TestEveryBrokenPromiseIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(r *record, production, preview *ledger)
		want  string
	}{
		"a job is gone": {
			func(_ *record, p, _ *ledger) { p.jobs = p.jobs[1:] },
			"job 1 of schema production is gone",
		},
		"a job waits though the version in production could work it": {
			func(_ *record, p, _ *ledger) { p.jobs[0] = store.JobRow{ID: 1, State: understudy.StateAvailable} },
			"job 1 of schema production is available at the end",
		},
		"a job waits in a preview that was served to the end": {
			func(_ *record, _, p *ledger) { p.attended = true },
			"job 2 of schema preview_bbb is available at the end",
		},
		"a job of a preview that nobody serves runs for ever": {
			func(_ *record, _, p *ledger) { p.jobs[1].State = understudy.StateRunning },
			"job 2 of schema preview_bbb is running at the end",
		},
		"a job was given up": {
			func(_ *record, p, _ *ledger) { p.jobs[3].State = understudy.StateDiscarded },
			"job 4 of schema production is discarded at the end",
		},
		"the loss of a worker was charged": {
			func(_ *record, p, _ *ledger) { p.jobs[3].Attempt = 2 },
			"job 4 of schema production was completed at attempt 2",
		},
		"a job was completed twice": {
			func(_ *record, p, _ *ledger) { p.jobs[3].Attempts[0].Error = "" },
			"job 4 of schema production was completed 2 times",
		},
		"a job failed": {
			func(_ *record, p, _ *ledger) { p.jobs[3].Attempts[0].Error = "out of memory" },
			"job 4 of schema production failed: out of memory",
		},
		"a worker was lost that nobody killed": {
			func(r *record, _, _ *ledger) { r.killed = nil },
			"job 4 of schema production lost its worker e3, which nobody killed",
		},
		"a version in preview claimed a production job": {
			func(_ *record, p, _ *ledger) { p.jobs[0].Attempts[0].Role = rollout.RolePreview },
			`job 1 of schema production was claimed by version 1.0 as "preview": only "active" works there`,
		},
		"a worker that is not in the schema claimed a job": {
			func(_ *record, p, _ *ledger) { p.jobs[0].Attempts[0].Worker = "e2" },
			"job 1 of schema production was claimed by e2, which is no worker of the schema",
		},
		"a version claimed a production job before it was promoted": {
			func(_ *record, p, _ *ledger) { p.jobs[2].Attempts[0].StartedAt = at(9) },
			"job 3 of schema production was claimed by version 2.0 at 15:00:09.000, when it was not active",
		},
		"a version claimed a production job long after its role was gone": {
			func(_ *record, p, _ *ledger) { p.jobs[1].Attempts[0].StartedAt = at(14) },
			"job 2 of schema production was claimed by version 1.0 at 15:00:14.000, when it was not active",
		},
		"a version served production before it was promoted": {
			func(_ *record, p, _ *ledger) { p.epochs[1].StartedAt = second(9) },
			"version 2.0 began to serve schema production at 15:00:09.000, when it was not active",
		},
		"a version served production in preview": {
			func(_ *record, p, _ *ledger) { p.epochs[1].Role = rollout.RolePreview },
			`version 2.0 served schema production as "preview"`,
		},
		"a version served the preview schema of another": {
			func(_ *record, _, p *ledger) {
				p.epochs = append(p.epochs, epochOf("e9", one, rollout.RolePreview, 11, 12))
			},
			"version 1.0 (aaa) served schema preview_bbb of revision bbb",
		},
		"a process was in both at a time": {
			func(_ *record, _, p *ledger) { p.epochs[0].EndedAt = at(10.7) },
			"version 2.0 began to be active at 15:00:10.500 and was preview until 15:00:10.700",
		},
		"a worker did not end its epoch": {
			func(_ *record, p, _ *ledger) { p.epochs[0].State, p.epochs[0].EndedAt = "serving", nil },
			"version 1.0 left its epoch e1 in schema production serving",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := recorded()
			c.spoil(r, &r.ledgers[0], &r.ledgers[1])
			if broken := strings.Join(r.check(), "\n"); !strings.Contains(broken, c.want) {
				t.Errorf("blamed for %q, want %q", broken, c.want)
			}
		})
	}
}

func TestOnlySomeOfManyBrokenPromisesAreTold(t *testing.T) {
	t.Parallel()
	r := recorded()
	for id := range int64(100) {
		r.ledgers[0].enqueued = append(r.ledgers[0].enqueued, 1000+id)
	}
	broken := r.check()
	if len(broken) != maxBroken+1 || broken[maxBroken] != "and 90 more" {
		t.Errorf("%d told, the last is %q", len(broken), broken[len(broken)-1])
	}
}
