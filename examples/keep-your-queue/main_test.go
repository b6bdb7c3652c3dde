package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/internal/kubelet"
	"github.com/understudy-worker/understudy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestRiverWorksTheSchemaOfItsRoleAndNoOther(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.migrate("production", "preview")
	p.write("production", 50, 0)
	p.write("preview", 50, 0)
	p.start("active")
	p.sent("production", 50)
	if early := p.count("SELECT count(*) FROM preview.letters"); early != 0 {
		t.Errorf("%d letters of preview were sent in production's role", early)
	}
	p.write("production", 1, 700*time.Millisecond)
	p.until("a job is under way", func() bool { return p.count("SELECT count(*) FROM production.river_job WHERE state = 'running'") == 1 })
	p.role("preview")
	p.sent("preview", 50)
	p.write("production", 20, 0)
	p.role("")
	p.until("nothing is served", func() bool { return p.log.count("River client stopped") == 2 })
	p.until("its connections are gone", func() bool {
		return p.count("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'understudy' AND datname = current_database()") == 0
	})
	p.write("preview", 20, 0)
	p.role("active")
	p.sent("production", 71)
	p.stop()
	p.checkLetters(71, 50)
	p.checkClients(3)
}

// checkLetters proves from the letters who worked what, and when.
func (p *pod) checkLetters(production, preview int) {
	p.t.Helper()
	for sql, want := range map[string]int{
		"SELECT count(*) FROM production.letters":                              production,
		"SELECT count(*) FROM preview.letters":                                 preview,
		"SELECT count(*) FROM production.letters WHERE role <> 'active'":       0,
		"SELECT count(*) FROM preview.letters WHERE role <> 'preview'":         0,
		"SELECT count(DISTINCT job_id) FROM production.letters":                production,
		"SELECT count(DISTINCT job_id) FROM preview.letters":                   preview,
		"SELECT count(*) FROM production.river_job WHERE state <> 'completed'": 0,
		"SELECT count(*) FROM preview.river_job WHERE state = 'available'":     20,
		"SELECT count(*) FROM preview.river_job WHERE attempt > 1":             0,
		"SELECT count(*) FROM production.river_job WHERE attempt > 1":          0,
		// The long letter was under way when the role changed: nothing of preview's is older than it.
		`SELECT count(*) FROM preview.letters p WHERE p.sent_at <= (SELECT l.sent_at FROM production.letters l
			JOIN production.river_job j ON j.id = l.job_id WHERE (j.args->>'takes')::bigint > 0)`: 0,
	} {
		if got := p.count(sql); got != want {
			p.t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
}

var clientLine = regexp.MustCompile(`msg="River client (started|stopped)"`)

// checkClients proves that each client had stopped before the next one started.
func (p *pod) checkClients(want int) {
	p.t.Helper()
	var got []string
	for _, match := range clientLine.FindAllStringSubmatch(p.log.String(), -1) {
		got = append(got, match[1])
	}
	if !slices.Equal(got, slices.Repeat([]string{"started", "stopped"}, want)) {
		p.t.Errorf("clients %v, want %d that start and stop one after the other", got, want)
	}
}

func TestAJobThatTheDrainDeadlineCutsShortIsNotCharged(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.migrate("production")
	p.write("production", 1, time.Hour)
	p.start("active", "--targets.production.drain_timeout=100ms")
	p.until("the job is under way", func() bool { return p.count("SELECT count(*) FROM production.river_job WHERE state = 'running'") == 1 })
	p.role("")
	p.until("the job is back", func() bool {
		return p.count("SELECT count(*) FROM production.river_job WHERE state = 'available' AND attempt = 0") == 1
	})
	p.stop()
	p.checkClients(1)
}

func TestProductionIsServedOnceSomebodyMigratesIt(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.start("active")
	p.until("it says what is missing", func() bool { return p.log.count("run once with --targets.production.migrations=apply") > 0 })
	p.migrate("production")
	p.write("production", 3, 0)
	p.sent("production", 3)
}

func TestPodsThatRaceMigrateANewPreviewOnce(t *testing.T) {
	t.Parallel()
	first := newPod(t)
	pods := []*pod{first}
	for range 3 {
		pods = append(pods, &pod{t: t, dsn: first.dsn, pool: first.pool, volume: kubelet.New(filepath.Join(t.TempDir(), "podinfo"))})
	}
	for _, p := range pods {
		p.start("preview")
	}
	for _, p := range pods {
		p.until("it serves", func() bool { return p.log.count("River client started") == 1 })
		if complaints := p.log.count("level=WARN"); complaints != 0 {
			t.Errorf("%d warnings:\n%s", complaints, &p.log)
		}
	}
	first.write("preview", 40, 0)
	first.sent("preview", 40)
}

func TestAPreviewThatIsProductionsSchemaIsNotServed(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	p.migrate("production")
	p.start("preview", "--targets.preview.schema=production")
	p.until("it says so", func() bool { return p.log.count("are one place") > 0 })
	p.role("active")
	p.until("production is served", func() bool { return p.log.count("River client started") == 1 })
}
