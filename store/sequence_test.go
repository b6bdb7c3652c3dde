package store_test

import (
	"strings"
	"testing"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

// switchedOver is a schema as logical replication leaves it: with its rows, and
// a sequence that has given no id. It has a job that is finished, and one that waits.
func switchedOver(t *testing.T) (f *fixture, finished, waiting int64) {
	t.Helper()
	f = migrate(t, pgtest.Pool(t), pgtest.Schema(t))
	q := f.epoch(t)
	finished = f.enqueue(t, store.NewJob{Kind: "a"})[0]
	record(t, q, understudy.Outcome{Job: held(t, q, []int64{finished}, "a")[0], Verdict: understudy.Completed})
	waiting = f.enqueue(t, store.NewJob{Kind: "b"})[0]
	f.exec(t, "ALTER SEQUENCE {schema}.open_jobs_id_seq RESTART")
	return f, finished, waiting
}

func TestASequenceBehindTheIdsIsFoundAndWhatIsToBeRunMendsIt(t *testing.T) {
	t.Parallel()
	for _, keep := range []string{"open", "finished"} {
		f, _, waiting := switchedOver(t)
		if keep == "finished" {
			if _, err := f.Cancel(t.Context(), waiting); err != nil {
				t.Fatal(err)
			}
		}
		err := store.CheckSequence(t.Context(), f.pool, f.schema)
		wantError(t, err, "ids would be given twice")
		_, run, _ := strings.Cut(err.Error(), "run: ")
		f.exec(t, run)
		if err := store.CheckSequence(t.Context(), f.pool, f.schema); err != nil {
			t.Errorf("%s: after %s: %v", keep, run, err)
		}
		if id := mustEnqueue(t, f, store.NewJob{Kind: "a"}); id != waiting+1 {
			t.Errorf("%s: the next job is %d, want %d", keep, id, waiting+1)
		}
	}
}

func TestASequenceIsNotBehindWhereJobsWereEnqueuedAndNoneIs(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for range 3 {
		if err := store.CheckSequence(t.Context(), f.pool, f.schema); err != nil {
			t.Error(err)
		}
		mustEnqueue(t, f, store.NewJob{Kind: "a"})
	}
}

func TestAnIDThatWasGivenTwiceIsOneJobToWhoeverAsksForIt(t *testing.T) {
	t.Parallel()
	f, finished, _ := switchedOver(t)
	if id := mustEnqueue(t, f, store.NewJob{Kind: "again"}); id != finished {
		t.Fatalf("enqueued job %d, want %d again", id, finished)
	}
	if row := f.job(t, finished); row.Kind != "again" || row.State != understudy.StateAvailable {
		t.Errorf("shown is %s, %s; want the job that is not finished", row.Kind, row.State)
	}
	fates, err := f.Fates(t.Context(), []int64{finished})
	if err != nil || len(fates) != 1 || fates[0].State != understudy.StateAvailable {
		t.Errorf("fates %+v, error %v; want that of the job that is not finished", fates, err)
	}
	if state, err := f.Cancel(t.Context(), finished); err != nil || state != understudy.StateCancelled {
		t.Errorf("cancelled: %s, error %v", state, err)
	}
	if row := f.job(t, finished); row.Kind != "again" {
		t.Errorf("shown is %s, want the job that was enqueued last", row.Kind)
	}
	if _, err := f.Retry(t.Context(), finished); err != nil {
		t.Fatal(err)
	}
	if row := f.job(t, finished); row.Kind != "again" || row.State != understudy.StateAvailable {
		t.Errorf("retried is %s, %s; want the job that was finished last", row.Kind, row.State)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.finished_jobs WHERE id = $1", finished); n != 1 {
		t.Errorf("a retry left %d finished jobs of the id, want the other one", n)
	}
}
