package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/supervisor"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// stage is a supervisor under test: snapshots go in, epochs come out.
type stage struct {
	t         *testing.T
	snapshots chan reload.Snapshot
	sup       *supervisor.Supervisor
	result    chan error
	stop      context.CancelFunc

	mu     sync.Mutex
	open   int      // epochs under way
	events []string // begin and end of each epoch, in order
	most   int      // most epochs that were ever open at a time
}

// perform starts a supervisor; change alters its options, serve is what an
// epoch does between its begin and its end.
func perform(t *testing.T, serve func(ctx context.Context, env supervisor.Env) error, change ...func(*supervisor.Options)) *stage {
	t.Helper()
	s := &stage{t: t, snapshots: make(chan reload.Snapshot, 1), result: make(chan error, 1)}
	options := supervisor.Options{
		Snapshots: s.snapshots, Version: "1.0", Lease: 5 * time.Second, Log: slog.New(slog.DiscardHandler),
		Serve: func(ctx context.Context, env supervisor.Env) error {
			s.begin(env)
			defer s.end(env)
			return serve(ctx, env)
		},
	}
	for _, c := range change {
		c(&options)
	}
	var err error
	if s.sup, err = supervisor.New(options); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.result <- s.sup.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case <-s.result:
		case <-time.After(patience):
			t.Error("the supervisor did not stop")
		}
	})
	return s
}

func (s *stage) begin(env supervisor.Env) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	s.most = max(s.most, s.open)
	s.events = append(s.events, "begin "+env.Role+" "+env.Target)
}

func (s *stage) end(env supervisor.Env) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	s.events = append(s.events, "end "+env.Role+" "+env.Target)
}

func (s *stage) want(snapshot reload.Snapshot) {
	for {
		select {
		case s.snapshots <- snapshot:
			return
		case <-s.snapshots: // the latest wins
		}
	}
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// serving waits until the status says so, and Serve, which runs beside it, has
// begun.
func (s *stage) serving(role, target string) {
	s.t.Helper()
	until(s.t, "serving "+target+" as "+role, func() bool {
		now, events := s.sup.Status(), s.history()
		return now.Phase == understudy.PhaseServing && now.Serving.Role == role && now.Serving.Target == target &&
			len(events) > 0 && events[len(events)-1] == "begin "+role+" "+target
	})
}

func (s *stage) phase(phase understudy.Phase) {
	s.t.Helper()
	until(s.t, "phase "+string(phase), func() bool { return s.sup.Status().Phase == phase })
}

func (s *stage) history() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

func (s *stage) never2() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most > 1 {
		s.t.Errorf("%d epochs were open at a time: %v", s.most, s.events)
	}
}

func untilDone(ctx context.Context, _ supervisor.Env) error {
	<-ctx.Done()
	return nil
}

// snapshot is a role on a target whose sessions carry the application's name.
func snapshot(role, target, dsn string) reload.Snapshot {
	return reload.Snapshot{Role: role, Target: reload.Target{
		Name: target, DSN: reload.Secret(dsn), Schema: target, DrainTimeout: time.Second, Pooler: reload.PoolerNone,
	}}
}

func named(dsn, application string) string {
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	return dsn + separator + "application_name=" + application
}

func sessions(t *testing.T, application string) (n int) {
	t.Helper()
	if err := pgtest.Conn(t).QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", application).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestARoleIsServedOneTargetAtATime(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := perform(t, untilDone)
	s.want(snapshot("active", "production", dsn))
	s.serving("active", "production")
	s.want(snapshot("preview", "preview", dsn))
	s.serving("preview", "preview")
	s.want(reload.Snapshot{})
	s.phase(understudy.PhaseIdle)
	s.want(snapshot("active", "production", dsn))
	s.serving("active", "production")
	s.never2()
	want := []string{"begin active production", "end active production", "begin preview preview", "end preview preview", "begin active production"}
	if got := s.history(); !slices.Equal(got, want) {
		t.Errorf("epochs were %v, want %v", got, want)
	}
}

func TestTheOldPoolIsGoneAfterASwap(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	name := strings.ToLower(t.Name()[4:20])
	s := perform(t, func(ctx context.Context, env supervisor.Env) error {
		if _, err := env.Pool.Exec(ctx, "SELECT 1"); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	s.want(snapshot("active", "production", named(dsn, name+"-a")))
	s.serving("active", "production")
	until(t, "a session", func() bool { return sessions(t, name+"-a") > 0 })
	s.want(snapshot("preview", "preview", named(dsn, name+"-b")))
	s.serving("preview", "preview")
	until(t, "no session of the old target", func() bool { return sessions(t, name+"-a") == 0 })
}

func TestTheNextTargetOpensWhileTheLastDrains(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	release, prepared := make(chan struct{}), make(chan struct{}, 1)
	s := perform(t, func(ctx context.Context, env supervisor.Env) error {
		<-ctx.Done()
		if env.Target == "production" {
			<-release
		}
		return nil
	}, func(o *supervisor.Options) {
		o.Prepare = func(_ context.Context, _ *pgxpool.Pool, target reload.Target) error {
			if target.Name == "preview" {
				prepared <- struct{}{}
			}
			return nil
		}
	})
	s.want(snapshot("active", "production", dsn))
	s.serving("active", "production")
	s.want(snapshot("preview", "preview", dsn))
	select {
	case <-prepared:
	case <-time.After(patience):
		t.Fatal("the next target was not prepared while the last drained")
	}
	s.phase(understudy.PhaseDraining)
	close(release)
	s.serving("preview", "preview")
	s.never2()
}

func TestARoleThatComesBackWhileItDrainsIsServedAgainOnTheSamePool(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	release := make(chan struct{})
	var pools sync.Map
	var first atomic.Bool
	s := perform(t, func(ctx context.Context, env supervisor.Env) error {
		pools.Store(env.Pool, env.Target)
		<-ctx.Done()
		if first.CompareAndSwap(false, true) {
			<-release
		}
		return nil
	})
	s.want(snapshot("active", "production", dsn))
	s.serving("active", "production")
	s.want(snapshot("preview", "preview", dsn))
	s.phase(understudy.PhaseDraining)
	s.want(snapshot("active", "production", dsn))
	until(t, "the snapshot is taken", func() bool { return s.sup.Status().Target == "production" })
	close(release)
	s.serving("active", "production")
	count := 0
	pools.Range(func(any, any) bool { count++; return true })
	if count != 1 {
		t.Errorf("%d pools were used, want the one of before: %v", count, s.history())
	}
	if got := s.history(); slices.Contains(got, "begin preview preview") {
		t.Errorf("a role that had gone was served: %v", got)
	}
}

func TestANewRoleOnTheSameTargetIsANewEpochOnTheSamePool(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	var pools sync.Map
	s := perform(t, func(ctx context.Context, env supervisor.Env) error {
		pools.Store(env.Pool, env.Role)
		<-ctx.Done()
		return nil
	})
	s.want(snapshot("canary", "production", dsn))
	s.serving("canary", "production")
	s.want(snapshot("stable", "production", dsn))
	s.serving("stable", "production")
	count := 0
	pools.Range(func(any, any) bool { count++; return true })
	if count != 1 {
		t.Errorf("%d pools were used, want 1", count)
	}
	s.never2()
}

// performConnecting is perform with an epoch that makes a new connection whenever
// connects is called, and says whether it could.
func performConnecting(t *testing.T) (s *stage, connects func() error) {
	t.Helper()
	ask, answer := make(chan struct{}), make(chan error)
	s = perform(t, func(ctx context.Context, env supervisor.Env) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-ask:
				env.Pool.Reset()
				answer <- env.Pool.Ping(ctx)
			}
		}
	})
	return s, func() error { ask <- struct{}{}; return <-answer }
}

func TestARotatedPasswordIsUsedByNewConnectionsOfTheSameEpoch(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	admin := pgtest.Conn(t)
	login := strings.ToLower(fmt.Sprintf("rotated_%d", time.Now().UnixNano()))
	exec := func(sql string) {
		if _, err := admin.Exec(context.WithoutCancel(t.Context()), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE ROLE " + login + " LOGIN PASSWORD 'old'")
	t.Cleanup(func() { exec("DROP ROLE " + login) })
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	as := func(password string) string {
		return fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable", login, password, config.Host, config.Port, config.Database)
	}
	s, connects := performConnecting(t)
	s.want(snapshot("active", "production", as("old")))
	s.serving("active", "production")
	exec("ALTER ROLE " + login + " PASSWORD 'new'")
	if err := connects(); err == nil {
		t.Fatal("the old password still works: this server does not check passwords")
	}
	s.want(snapshot("active", "production", as("new")))
	until(t, "the new password works", func() bool { return connects() == nil })
	if got := s.history(); len(got) != 1 {
		t.Errorf("a new password began a new epoch: %v", got)
	}
}

func TestAnotherDSNForMigrationsIsNothingToAnEpoch(t *testing.T) {
	t.Parallel()
	s := perform(t, untilDone)
	wanted := snapshot("active", "production", pgtest.DSN(t))
	s.want(wanted)
	s.serving("active", "production")
	for _, dsn := range []reload.Secret{"postgres://one", "postgres://another"} {
		wanted.Target.MigrateDSN, wanted.Target.MigrateDSNFile = dsn, string(dsn)
		s.want(wanted)
		until(t, "the snapshot is taken", func() bool { return len(s.snapshots) == 0 })
	}
	s.want(reload.Snapshot{})
	s.phase(understudy.PhaseIdle)
	if got := s.history(); !slices.Equal(got, []string{"begin active production", "end active production"}) {
		t.Errorf("epochs were %v", got)
	}
}

func TestATargetThatOpensIsOpenedAnewForAnotherDSNForMigrations(t *testing.T) {
	t.Parallel()
	opened := make(chan reload.Secret, 2)
	s := perform(t, untilDone, func(o *supervisor.Options) {
		o.Prepare = func(ctx context.Context, _ *pgxpool.Pool, target reload.Target) error {
			if opened <- target.MigrateDSN; target.MigrateDSN == "right" {
				return nil
			}
			<-ctx.Done() // a migration by a login that waits in vain
			return ctx.Err()
		}
	})
	wanted := snapshot("preview", "preview", pgtest.DSN(t))
	wanted.Target.MigrateDSN = "wrong"
	s.want(wanted)
	if got := <-opened; got != "wrong" {
		t.Errorf("opened with %q", got.Reveal())
	}
	wanted.Target.MigrateDSN = "right"
	s.want(wanted)
	if got := <-opened; got != "right" {
		t.Errorf("opened with %q", got.Reveal())
	}
	s.serving("preview", "preview")
}

func TestAnUnreachableOtherTargetDoesNotHoldUpTheOneThatIsNeeded(t *testing.T) {
	t.Parallel()
	other := snapshot("preview", "preview", "postgres://nobody@127.0.0.1:1/none").Target
	s := perform(t, untilDone, func(o *supervisor.Options) {
		o.Targets = func() []reload.Target { return []reload.Target{other} }
	})
	s.want(snapshot("active", "production", pgtest.DSN(t)))
	s.serving("active", "production")
}

func TestATargetIsTriedUntilItIsReady(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	s := perform(t, untilDone, func(o *supervisor.Options) {
		o.Prepare = func(context.Context, *pgxpool.Pool, reload.Target) error {
			if tries.Add(1) < 3 {
				return errors.New("behind: run the migration")
			}
			return nil
		}
	})
	s.want(snapshot("active", "production", pgtest.DSN(t)))
	until(t, "the reason shows", func() bool { return strings.Contains(s.sup.Status().Problem, "run the migration") })
	s.serving("active", "production")
	if problem := s.sup.Status().Problem; problem != "" {
		t.Errorf("the problem is over and still shows: %s", problem)
	}
}

func TestARoleThatGoesWhileItsTargetOpensIsNeverServed(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	entered := make(chan struct{})
	var once sync.Once
	s := perform(t, untilDone, func(o *supervisor.Options) {
		o.Prepare = func(ctx context.Context, _ *pgxpool.Pool, target reload.Target) error {
			if target.Name != "preview" {
				return nil
			}
			once.Do(func() { close(entered) })
			<-ctx.Done()
			return ctx.Err()
		}
	})
	s.want(snapshot("preview", "preview", dsn))
	<-entered
	s.want(snapshot("active", "production", dsn))
	s.serving("active", "production")
	if got := s.history(); !slices.Equal(got, []string{"begin active production"}) {
		t.Errorf("epochs were %v", got)
	}
}

func TestWorkThatDoesNotEndAfterItsDeadlineEndsTheProcess(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := perform(t, func(ctx context.Context, env supervisor.Env) error {
		defer env.Pool.Close() // the process would have ended
		<-ctx.Done()
		<-release
		return nil
	}, func(o *supervisor.Options) { o.Grace = 100 * time.Millisecond })
	wanted := snapshot("active", "production", pgtest.DSN(t))
	wanted.Target.DrainTimeout = 100 * time.Millisecond
	s.want(wanted)
	s.serving("active", "production")
	s.want(reload.Snapshot{})
	err := <-s.result
	s.result <- err
	close(release)
	if err == nil || !strings.Contains(err.Error(), "did not end within the drain timeout") {
		t.Errorf("ended with %v", err)
	}
	until(t, "the epoch to end", func() bool { return len(s.history()) == 2 })
}

func TestAFatalErrorOfAnEpochEndsTheProcess(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	s := perform(t, func(context.Context, supervisor.Env) error { return supervisor.Fatal(boom) })
	s.want(snapshot("active", "production", pgtest.DSN(t)))
	err := <-s.result
	s.result <- err
	if !errors.Is(err, boom) {
		t.Errorf("ended with %v", err)
	}
}

func TestAnEpochThatFailsIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	var epochs atomic.Int32
	s := perform(t, func(ctx context.Context, _ supervisor.Env) error {
		if epochs.Add(1) < 3 {
			return understudy.ErrEpochOver
		}
		<-ctx.Done()
		return nil
	})
	s.want(snapshot("active", "production", pgtest.DSN(t)))
	until(t, "the third epoch", func() bool { return epochs.Load() == 3 })
	s.serving("active", "production")
}

func TestTheEndOfTheContextIsADemotion(t *testing.T) {
	t.Parallel()
	drained := make(chan struct{})
	s := perform(t, func(ctx context.Context, _ supervisor.Env) error {
		<-ctx.Done()
		close(drained)
		return nil
	})
	s.want(snapshot("active", "production", pgtest.DSN(t)))
	s.serving("active", "production")
	s.stop()
	err := <-s.result
	s.result <- err
	if err != nil {
		t.Errorf("ended with %v", err)
	}
	select {
	case <-drained:
	default:
		t.Error("it ended without draining")
	}
}

func TestRolesThatChangeInATightLoopEndInTheLast(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := perform(t, untilDone)
	for i := range 300 {
		switch i % 3 {
		case 0:
			s.want(snapshot("active", "production", dsn))
		case 1:
			s.want(snapshot("preview", "preview", dsn))
		case 2:
			s.want(reload.Snapshot{})
		}
	}
	s.want(snapshot("preview", "preview", dsn))
	s.serving("preview", "preview")
	s.never2()
}

func TestATargetThatCannotBeServedIsNamedWhileNothingIsServed(t *testing.T) {
	t.Parallel()
	s := perform(t, untilDone)
	s.want(snapshot("active", "production", pgtest.DSN(t)))
	s.serving("active", "production")
	s.want(reload.Snapshot{Role: "preview", Target: reload.Target{Name: "preview"}, Problem: "its DSN is missing"})
	s.phase(understudy.PhaseIdle)
	if now := s.sup.Status(); now.Target != "preview" || now.Problem != "its DSN is missing" {
		t.Errorf("status is %+v", now)
	}
}
