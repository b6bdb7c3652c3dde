package app_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
)

// smoked is what smoke -o json prints, as far as tests look at it.
type smoked struct {
	OK                         bool
	Summary, Run               string
	Target, Schema, Kind       string
	Template                   string `json:"template_hash"`
	Jobs, Completed, Cancelled int
	Seconds                    float64
	Workers                    []struct {
		Pod, Version, Role string
		Template           string `json:"template_hash"`
		Completed          int
	}
	Faults []struct {
		ID                        int64
		State, Pod, Version, Role string
		Problem                   string
		Attempt                   int
		Worker                    string `json:"worker_id"`
		Template                  string `json:"template_hash"`
		Error                     string `json:"last_error"`
	}
}

// smoke runs smoke -o json and decodes what it printed.
func (s *shell) smoke(ctx context.Context, args ...string) (ran, smoked) {
	s.t.Helper()
	r := s.runWith(ctx, nil, append([]string{"smoke", "-o=json"}, args...)...)
	var report smoked
	if r.out != "" {
		decodeInto(s.t, r.out, &report)
	}
	return r, report
}

func TestSmokeSucceedsWhenTheVersionCompletesEveryJob(t *testing.T) {
	t.Parallel()
	s := migratedShell(t, "preview")
	defer s.hand(s.preview, "pod-1", "abc").works(completes)()
	r, report := s.smoke(t.Context(), "--template-hash=abc", "--count=7", `--args={"dry": true}`)
	if r.code != 0 || !report.OK || report.Jobs != 7 || report.Completed != 7 || len(report.Faults) != 0 || report.Cancelled != 0 {
		t.Fatalf("exit code %d, %s, report %+v", r.code, r.err, report)
	}
	if len(report.Workers) != 1 || report.Workers[0].Pod != "pod-1" || report.Workers[0].Template != "abc" || report.Workers[0].Completed != 7 {
		t.Errorf("workers %+v", report.Workers)
	}
	for _, job := range s.jobs("--target=preview") {
		if !strings.Contains(string(job.Metadata), report.Run) || !strings.Contains(string(job.Args), "dry") || job.MaxAttempts != 1 {
			t.Errorf("job %+v is not marked with run %s", job, report.Run)
		}
	}
	if out := s.ok("smoke"); !strings.Contains(out, `10 of 10 jobs of kind "echo" completed in `) {
		t.Errorf("printed %q", out)
	}
}

func TestSmokeFailsWhenAnotherVersionCompletesAJob(t *testing.T) {
	t.Parallel()
	s := migratedShell(t, "preview")
	defer s.hand(s.preview, "pod-old", "old").works(completes)()
	r, report := s.smoke(t.Context(), "--template-hash=abc", "--count=2")
	if r.code != 1 || report.OK || report.Completed != 0 || len(report.Faults) != 2 {
		t.Fatalf("exit code %d, report %+v", r.code, report)
	}
	want := "was completed by another version: pod-old (version 2.0, role preview, template hash old)"
	if got := report.Faults[0].Problem; got != want {
		t.Errorf("problem %q, want %q", got, want)
	}
	if !strings.Contains(r.err, "0 of 2 jobs of kind \"echo\" completed by template hash abc") {
		t.Errorf("error %q", r.err)
	}
	r = s.run("smoke", "--template-hash=abc", "--count=11")
	if lines := strings.Split(strings.TrimSpace(r.err), "\n"); len(lines) != 12 || lines[10] != "and 1 job more" || !strings.Contains(lines[0], want) {
		t.Errorf("printed %q", lines)
	}
}

func TestSmokeNamesTheErrorOfAJobThatFails(t *testing.T) {
	t.Parallel()
	s := migratedShell(t, "preview")
	var seen atomic.Int64
	defer s.hand(s.preview, "pod-1", "").works(func(*understudy.Job) understudy.Outcome {
		if seen.Add(1) == 2 {
			return understudy.Outcome{Verdict: understudy.Discarded, Error: "no such table"}
		}
		return understudy.Outcome{Verdict: understudy.Completed}
	})()
	r := s.run("smoke", "--count=3")
	if r.code != 1 || !strings.Contains(r.err, "was discarded by pod-1 (version 2.0, role preview, no template hash): no such table\n") ||
		!strings.Contains(r.err, "understudy: smoke: 2 of 3 jobs") {
		t.Errorf("exit code %d, printed %s", r.code, r.err)
	}
}

func TestSmokeCancelsWhatNobodyWorksWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	s := migratedShell(t, "preview")
	began := time.Now()
	r, report := s.smoke(t.Context(), "--count=3", "--timeout=5s")
	if r.code != 1 || report.Cancelled != 3 || !strings.Contains(r.err, "the time (5s) was up and 3 jobs cancelled; no live worker serves this schema") {
		t.Errorf("exit code %d, %s, report %+v", r.code, r.err, report)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %s", took)
	}
	if got := s.jobs("--target=preview", "--state=cancelled"); len(got) != 3 {
		t.Errorf("%d jobs are cancelled, want 3", len(got))
	}
}

func TestSmokeSaysWhichVersionsItSawWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	s := migratedShell(t, "preview")
	s.hand(s.preview, "pod-1", "old")
	r, _ := s.smoke(t.Context(), "--count=1", "--timeout=5s", "--template-hash=abc")
	if want := "live workers: 1 of version 2.0 in role preview with template hash old, none of the version asked for"; !strings.Contains(r.err, want) {
		t.Errorf("error %q, want %q in it", r.err, want)
	}
	r, _ = s.smoke(t.Context(), "--count=1", "--timeout=5s", "--kind=mail", "--queue=slow")
	if want := `see that they have a handler for kind "mail" and work queue "slow"`; !strings.Contains(r.err, want) {
		t.Errorf("error %q, want %q in it", r.err, want)
	}
}

func TestSmokeAsksForTheEndOfAJobThatRunsTooLong(t *testing.T) {
	t.Parallel()
	s := migratedShell(t, "preview")
	hand := s.hand(s.preview, "pod-1", "")
	defer hand.works(keeps)()
	r, report := s.smoke(t.Context(), "--count=1", "--timeout=15s")
	if r.code != 1 || len(report.Faults) != 1 || !strings.HasPrefix(report.Faults[0].Problem, "was still running on pod-1 ") {
		t.Fatalf("exit code %d, %s, report %+v", r.code, r.err, report)
	}
	if job := s.jobs("--target=preview")[0]; job.State != understudy.StateRunning || !job.CancelRequested {
		t.Errorf("job %+v, want it running and to be cancelled", job)
	}
}

func TestSmokeWaitsForTheSchemaToBeMigrated(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.fails(1, []string{"nothing was enqueued", "was not migrated within 5s", "understudy migrate up --target preview --schema " + s.preview},
		"smoke", "--timeout=5s")
	var r ran
	wait := s.meanwhile(func() {
		r = s.run("smoke", "--count=1", "--timeout="+patience.String(), "--targets.preview.dsn="+withParameter(s.dsn, "application_name", s.preview))
	})
	s.await("smoke has tried in vain", "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = $1 AND query ILIKE 'rollback%'", s.preview)
	s.ok("migrate", "up", "--target=preview")
	defer s.hand(s.preview, "pod-1", "").works(completes)()
	if wait(); r.code != 0 || !strings.HasPrefix(r.out, "1 of 1 job ") {
		t.Errorf("exit code %d, printed %q and %q", r.code, r.out, r.err)
	}
}

// meanwhile does something beside the test, which waits for it in the end.
func (s *shell) meanwhile(do func()) (wait func()) {
	var doing sync.WaitGroup
	doing.Go(do)
	return doing.Wait
}

// until waits until a condition holds.
func (s *shell) until(what string, holds func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// await waits until a query says true.
func (s *shell) await(what, sql string, args ...any) {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var holds bool
		if err := s.pool.QueryRow(s.t.Context(), sql, args...).Scan(&holds); err != nil || holds {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("waited in vain until %s", what)
			return
		}
	}
}

func TestAnInterruptedSmokeCancelsItsJobs(t *testing.T) {
	t.Parallel()
	s := migratedShell(t, "preview")
	ctx, interrupt := context.WithCancelCause(t.Context())
	defer s.meanwhile(func() {
		s.await("jobs are enqueued", "SELECT count(*) > 0 FROM "+quoted(s.preview)+".open_jobs")
		interrupt(errors.New("interrupted by a test"))
	})()
	r, report := s.smoke(ctx, "--count=2")
	if r.code != 1 || !strings.Contains(r.err, "smoke: stopped (interrupted by a test) and 2 jobs cancelled") || report.Cancelled != 2 {
		t.Errorf("exit code %d, %s, report %+v", r.code, r.err, report)
	}
	if got := s.jobs("--target=preview", "--state=cancelled"); len(got) != 2 {
		t.Errorf("%d jobs are cancelled, want 2", len(got))
	}
}

func TestASmokeThatIsInterruptedBeforeItsSchemaIsThereSaysSo(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	ctx, interrupt := context.WithCancelCause(t.Context())
	defer s.meanwhile(func() {
		s.await("smoke has tried in vain", "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = $1 AND query ILIKE 'rollback%'", s.preview)
		interrupt(errors.New("interrupted by a test"))
	})()
	s.environ = append(s.environ, "UNDERSTUDY_TARGETS__PREVIEW__DSN="+withParameter(s.dsn, "application_name", s.preview))
	r := s.runWith(ctx, nil, "smoke")
	if r.code != 1 || r.err != "understudy: interrupted by a test\n" {
		t.Errorf("exit code %d with %q", r.code, r.err)
	}
}

func TestSmokeSaysThatAJobIsGone(t *testing.T) {
	t.Parallel()
	s := migratedShell(t, "preview")
	defer s.meanwhile(func() {
		open := quoted(s.preview) + ".open_jobs"
		s.await("the job is gone", "WITH gone AS (DELETE FROM "+open+" RETURNING 1) SELECT count(*) > 0 FROM gone")
	})()
	r, report := s.smoke(t.Context(), "--count=1", "--timeout="+patience.String())
	if r.code != 1 || len(report.Faults) != 1 || !strings.HasPrefix(report.Faults[0].Problem, "is gone") {
		t.Errorf("exit code %d, %s, report %+v", r.code, r.err, report)
	}
}

func TestSmokeJudgesAWorkerThatIsJustStarting(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	s := &shell{t: t, pool: th.pool, dsn: th.dsn, environ: []string{
		"UNDERSTUDY_TARGETS__PREVIEW__DSN=" + th.dsn, "UNDERSTUDY_TARGETS__PREVIEW__SCHEMA=" + th.preview,
	}}
	p := th.start("v2", "preview") // it has yet to migrate the schema
	r, report := s.smoke(t.Context(), "--template-hash=abc123", "--count=20", "--timeout="+patience.String())
	if r.code != 0 || report.Completed != 20 || len(report.Workers) != 1 || report.Workers[0].Pod != p.name {
		t.Errorf("exit code %d, %s, report %+v", r.code, r.err, report)
	}
	r, report = s.smoke(t.Context(), "--template-hash=other", "--count=1")
	if r.code != 1 || report.Completed != 0 || !strings.Contains(r.err, "0 of 1 job ") {
		t.Errorf("exit code %d, %s, report %+v", r.code, r.err, report)
	}
	r, report = s.smoke(t.Context(), "--kind=fail", "--count=1", `--args={"message": "no such mailbox"}`)
	if r.code != 1 || len(report.Faults) != 1 || !strings.HasSuffix(report.Faults[0].Problem, ": no such mailbox") {
		t.Errorf("exit code %d, %s, report %+v", r.code, r.err, report)
	}
}
