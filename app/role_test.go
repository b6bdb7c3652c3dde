package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestARoleChangeDrainsAndSwapsAndLosesNothing(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.migrate(th.preview)
	p := th.start("a", "active")
	p.serves(th.production, "active")
	enqueued := 0
	both := func() {
		th.enqueue(th.production, "slow", 100, 10*time.Millisecond)
		th.enqueue(th.preview, "slow", 100, 10*time.Millisecond)
		enqueued += 200
	}
	both()
	th.untilDone(th.production)
	both()
	p.role("preview")
	p.serves(th.preview, "preview")
	p.noSessions("production")
	th.untilDone(th.preview)
	both()
	p.role("active")
	p.serves(th.production, "active")
	p.noSessions("preview")
	th.untilDone(th.production)
	both()
	p.role("")
	p.noSessions("production")
	before := ask[int](th, "SELECT count(*) FROM {ledger}.ledger")
	both()
	p.role("active")
	p.serves(th.production, "active")
	if before == enqueued {
		t.Error("nothing was waiting on either side")
	}
	th.untilDone(th.production)
	p.role("preview")
	th.untilDone(th.preview)
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d after SIGTERM\n%s", code, p.log)
	}
	th.check(enqueued)
	if charged := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE attempt <> 1 OR losses <> 0"); charged != 0 {
		t.Errorf("%d jobs were charged for a swap", charged)
	}
}

func TestAPodWithoutAUsableRoleIsIdleAndServesWhenItGetsOne(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	labels := func(p *pod, content string) {
		if err := p.volume.Write(map[string]string{"labels": content}); err != nil {
			t.Fatal(err)
		}
	}
	for name, prepare := range map[string]func(p *pod){
		"born-without": func(p *pod) { p.role("") },
		"empty":        func(p *pod) { labels(p, `role=""`) },
		"unmapped":     func(p *pod) { labels(p, `role="understudy"`) },
		"garbled":      func(p *pod) { labels(p, `role=active`) },
		"no-labels":    func(p *pod) { labels(p, "") },
		"missing":      func(*pod) {},
		"unreadable": func(p *pod) {
			// For root too: a directory cannot be read as a file.
			if err := os.MkdirAll(filepath.Join(p.volume.Dir(), "labels"), 0o755); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th := newTheatre(t)
			th.enqueue(th.production, "note", 10, 0)
			p := th.hire(name)
			prepare(p)
			p.start("--podinfo.grace=300ms")
			p.until("it has started", func() bool { return p.log.contains("listening") })
			// It has seen its files and stays idle for longer than a read and the grace take.
			time.Sleep(time.Second)
			if worked := ask[int](th, "SELECT count(*) FROM {ledger}.ledger"); worked != 0 {
				t.Errorf("%d jobs were worked without a role", worked)
			}
			if name == "unreadable" {
				if err := os.Remove(filepath.Join(p.volume.Dir(), "labels")); err != nil {
					t.Fatal(err)
				}
			}
			p.role("active")
			th.untilDone(th.production)
			th.check(10)
		})
	}
	th.check(0)
}

func TestTheLastOfManySwapsWins(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.migrate(th.preview)
	p := th.start("a", "active")
	p.serves(th.production, "active")
	warm := func() { // to have the pool's connections among the descriptors
		th.enqueue(th.production, "hold", 20, 50*time.Millisecond)
		th.untilDone(th.production)
	}
	warm()
	before := p.descriptors(t)
	th.enqueue(th.preview, "note", 50, 0)
	for i := range 2000 {
		p.quickly([]string{"active", "preview", ""}[i%3])
	}
	p.role("preview")
	p.serves(th.preview, "preview")
	th.untilDone(th.preview)
	p.role("active")
	p.serves(th.production, "active")
	warm()
	p.until("its descriptors are level", func() bool { return p.descriptors(t) <= before+2 })
}

// quickly writes a role without a stamp.
func (p *pod) quickly(role string) {
	content := ""
	if role != "" {
		content = fmt.Sprintf("role=%q", role)
	}
	if err := p.volume.Write(map[string]string{"labels": content}); err != nil {
		p.th.t.Fatal(err)
	}
}

func (p *pod) descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestADrainThatEndsInTimeCutsNothingShort(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	p := th.start("a", "active", "--targets.production.drain_timeout=20s")
	p.serves(th.production, "active")
	th.enqueue(th.production, "slow", 20, time.Second)
	th.until("all run", "SELECT count(*) = 20 FROM {ledger}.ledger")
	p.role("")
	p.noSessions("production")
	if done := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE state = 'completed' AND attempt = 1"); done != 20 {
		t.Errorf("%d of 20 jobs were completed", done)
	}
	th.check(20)
}

func TestADrainDeadlineReturnsJobsUnchargedToBeRunElsewhere(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	p := th.start("a", "active", "--targets.production.drain_timeout=200ms")
	p.serves(th.production, "active")
	th.enqueue(th.production, "cut", 20, 0)
	th.until("all run", "SELECT count(*) = 20 FROM {ledger}.ledger")
	p.role("")
	p.noSessions("production")
	if back := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE state = 'available' AND attempt = 0 AND losses = 0 AND attempts = '[]'"); back != 20 {
		t.Errorf("%d of 20 jobs went back uncharged", back)
	}
	other := th.start("b", "active")
	th.untilDone(th.production)
	if done := ask[int](th, "SELECT count(*) FROM {production}.jobs WHERE state = 'completed' AND attempt = 1"); done != 20 {
		t.Errorf("%d of 20 jobs were completed with one attempt", done)
	}
	if elsewhere := ask[int](th, "SELECT count(*) FROM {ledger}.ledger WHERE pod = $1", other.name); elsewhere != 20 {
		t.Errorf("%d of 20 jobs ran elsewhere", elsewhere)
	}
	th.check(20)
}

func TestAHandlerThatIgnoresCancellationEndsTheProcess(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	p := th.start("a", "active", "--targets.production.drain_timeout=200ms")
	p.serves(th.production, "active")
	th.enqueue(th.production, "stubborn", 1, time.Minute)
	th.until("it runs", "SELECT count(*) = 1 FROM {ledger}.ledger")
	p.role("preview")
	if code := p.exit(); code != 1 || !p.log.contains("stubborn") {
		t.Errorf("exit code %d, want 1 and the kind of the job\n%s", code, p.log)
	}
	if worked := ask[bool](th, "SELECT to_regclass($1) IS NULL OR (SELECT count(*) = 0 FROM {ledger}.ledger WHERE schema = $2)", quoted(th.preview)+".jobs", th.preview); !worked {
		t.Error("it claimed from the other target while a handler still ran")
	}
}

func TestARoleThatFlipsBackDuringADrainNeverRunsAJobTwiceAtATime(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.migrate(th.preview)
	p := th.start("a", "active", "--targets.production.drain_timeout=300ms")
	p.serves(th.production, "active")
	th.enqueue(th.production, "slow", 30, 1500*time.Millisecond)
	for range 3 {
		th.until("jobs run", "SELECT EXISTS (SELECT FROM {ledger}.ledger WHERE ended_at IS NULL)")
		p.role("preview")
		p.role("active")
	}
	th.untilDone(th.production)
	overlap := ask[int](th, `SELECT count(*) FROM {ledger}.ledger a JOIN {ledger}.ledger b ON a.schema = b.schema AND a.job_id = b.job_id AND a.n < b.n
		WHERE a.pod = b.pod AND b.started_at < a.ended_at`)
	if overlap != 0 {
		t.Errorf("%d times a job ran twice at a time", overlap)
	}
	th.check(30)
}

func TestProductionThatIsBehindIsServedOnceItIsMigratedWithoutARestart(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.exec("DROP SCHEMA " + quoted(th.production) + " CASCADE")
	p := th.start("a", "active")
	p.until("it says what to run", func() bool { return p.log.contains("understudy migrate up --target production") })
	th.migrate(th.production)
	th.enqueue(th.production, "note", 5, 0)
	th.untilDone(th.production)
	th.check(5)
}

func TestAWorkerWhoseLoginLacksARightServesOnceItIsGrantedWithoutARestart(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	login := quoted(th.production) // as unique a name as any
	th.exec("CREATE ROLE " + login + " LOGIN PASSWORD 'hunter2'")
	t.Cleanup(func() {
		th.exec("DROP OWNED BY " + login)
		th.exec("DROP ROLE " + login)
	})
	config := th.pool.Config().ConnConfig
	p := th.start("a", "active", fmt.Sprintf("--targets.production.dsn=host=%s port=%d dbname=%s user=%s password=hunter2",
		config.Host, config.Port, config.Database, th.production))
	p.until("it says what to do", func() bool {
		return p.log.contains("permission denied for schema") && p.log.contains("may not do that: grant it, or use another login")
	})
	th.exec("GRANT USAGE ON SCHEMA " + login + " TO " + login)
	p.until("it says what else", func() bool { return p.log.contains("permission denied for table") })
	th.exec("GRANT ALL ON ALL TABLES IN SCHEMA " + login + " TO " + login)
	th.exec("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA " + login + " TO " + login)
	p.serves(th.production, "active")
	p.kill()
	if p.log.contains("hunter2") {
		t.Error("the password is logged")
	}
}

func TestASecondSignalEndsTheProcessAtOnce(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	p := th.start("a", "active", "--targets.production.drain_timeout=5m")
	p.serves(th.production, "active")
	th.enqueue(th.production, "slow", 1, time.Minute)
	th.until("it runs", "SELECT count(*) = 1 FROM {ledger}.ledger")
	p.signal(syscall.SIGTERM)
	th.until("it drains", "SELECT EXISTS (SELECT FROM {production}.workers WHERE state = 'draining')")
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code == 0 {
		t.Errorf("exit code %d, want another than 0", code)
	}
}

func TestWhereTwoTargetsAreOnePlaceProductionIsWorkedOnAndThePreviewClaimsNothing(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	p := th.start("a", "active", "--targets.preview.schema="+th.production)
	p.serves(th.production, "active")
	p.until("it says so", func() bool { return p.log.contains("are one place") })
	q := th.start("b", "preview", "--targets.preview.schema="+th.production)
	q.until("it says so", func() bool { return q.log.contains("are one place") })
	th.enqueue(th.production, "slow", 20, 0)
	th.untilDone(th.production)
	if others := ask[int](th, "SELECT count(*) FROM {production}.workers WHERE pod <> $1", p.name); others != 0 {
		t.Errorf("%d epochs of the preview in production's schema", others)
	}
	p.role("preview")
	th.until("production is left", "SELECT NOT EXISTS (SELECT FROM {production}.workers WHERE state IN ('serving', 'draining'))")
	p.role("active")
	p.serves(th.production, "active")
	if password := "password"; strings.Contains(p.log.String()+q.log.String(), password+"=") {
		t.Error("a log holds a password")
	}
}
