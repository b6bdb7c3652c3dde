package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/dsn"
	"github.com/understudy-worker/understudy/internal/rollout"
	"github.com/understudy-worker/understudy/internal/session"
)

// The names of the demo's schemas, after Options.SchemaPrefix.
const (
	productionSchema = "production"
	previewSchemas   = "preview_" // and the revision's hash
)

// visitorQueue is the queue of jobs that the tester's page enqueues: whatever
// they do, and however many there are, the demo's own are worked meanwhile.
const visitorQueue = "tester"

// How the demo's workers are configured: the lease is short, so that a worker
// that was killed is missed within seconds.
const (
	lease        = 6 * time.Second
	drainTimeout = 5 * time.Second
)

// configTemplate is the workers' configuration, as the overlays for Kubernetes
// have it: what differs between pods, the pod files and the version, is not in it.
const configTemplate = `podinfo: {role_label: role}
targets:
  production: {dsn_file: %[1]q, schema: %[2]q, drain_timeout: %[4]s}
  preview:    {dsn_file: %[1]q, schema: %[3]q, drain_timeout: %[4]s}
queues: {default: {concurrency: 50}, %[6]s: {concurrency: 50}}
worker: {lease: %[5]s}
http: {addr: "127.0.0.1:0"}
log: {format: json}
`

// workerConfig is the workers' configuration.
func workerConfig(dsnFile, production, preview string) string {
	return fmt.Sprintf(configTemplate, dsnFile, production, preview, drainTimeout, lease, visitorQueue)
}

// build makes everything that the story plays on, short of a worker.
func (s *story) build(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.takePorts, s.makeDir, s.startDatabase, s.connect, s.makeProduction, s.migrate,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.cluster = &cluster{
		program: s.options.Executable, config: s.path("config.yaml"), dir: s.dir, environ: s.environ(), started: time.Now(),
		probes: newProbes(), services: s.services, recorder: s.recorder, clock: s.board.clock, say: s.say, fail: s.trouble.fail,
	}
	s.rollout = rollout.NewBlueGreen(rollout.Options{
		Stage: s.cluster, ScaleDownDelay: s.options.ScaleDownDelay, AbortScaleDownDelay: s.options.ScaleDownDelay,
	})
	s.trickle = newTrickle(s.board)
	return nil
}

// later adds something to clear away.
func (s *story) later(clear func() error) { s.clears = append(s.clears, clear) }

func (s *story) path(name string) string { return filepath.Join(s.dir, name) }

func (s *story) takePorts(context.Context) error {
	s.services = map[string]*service{}
	for _, port := range []struct {
		role, flag string
		number     int
	}{
		{rollout.RoleActive, "active-port", s.options.ActivePort},
		{rollout.RolePreview, "preview-port", s.options.PreviewPort},
	} {
		service, err := listen(port.number, port.flag)
		if err != nil {
			return err
		}
		s.later(func() error { service.close(); return nil })
		s.services[port.role] = service
	}
	page, err := bind(s.options.TesterPort, "tester-port")
	if err != nil {
		return err
	}
	s.later(func() error { _ = page.Close(); return nil }) // whoever served it has closed it
	s.page = page
	return nil
}

func (s *story) makeDir(context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "understudy-demo-"); err != nil {
		return fmt.Errorf("make a directory for the demo: %w", err)
	}
	s.later(func() error {
		if !s.options.Keep {
			return os.RemoveAll(s.dir)
		}
		s.say("kept: %s", s.dir)
		return os.RemoveAll(s.path("dsn"))
	})
	return nil
}

// openLog makes a log in the demo's directory.
func (s *story) openLog(name string) (*slog.Logger, error) {
	file, err := os.OpenFile(s.path(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	s.later(file.Close)
	return slog.New(slog.NewJSONHandler(file, nil)), nil
}

func (s *story) startDatabase(ctx context.Context) (err error) {
	if s.database, err = openDatabase(ctx, s.options.DSN, s.say); err != nil {
		return err
	}
	s.later(s.database.close)
	s.say("Postgres: %s", s.database.where)
	return nil
}

func (s *story) connect(ctx context.Context) error {
	config, err := dsn.Parse("--dsn", s.database.dsn)
	if err != nil {
		return err
	}
	config.ConnConfig.RuntimeParams["application_name"] = "understudy demo"
	session.RelyOnDriver(config.ConnConfig)
	session.SetUnlessLent(config.ConnConfig, session.Ours)
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	s.later(func() error { s.pool.Close(); return nil })
	s.board = &board{
		pool: s.pool, production: s.options.SchemaPrefix + productionSchema, previews: s.options.SchemaPrefix + previewSchemas,
	}
	ctx, cancel := context.WithTimeout(ctx, dbTimeout)
	defer cancel()
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	return nil
}

// makeProduction creates production's schema, so that one of somebody else's
// is neither used nor dropped.
func (s *story) makeProduction(ctx context.Context) error {
	if err := s.board.createSchema(ctx, s.board.production); err != nil {
		return err
	}
	if s.database.guest {
		s.later(func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 3*dbTimeout)
			defer cancel()
			return s.board.dropSchemas(ctx, s.schemas())
		})
	}
	return nil
}

// migrate writes the configuration and migrates production, as one does before
// a rollout.
func (s *story) migrate(ctx context.Context) error {
	config := workerConfig(s.path("dsn"), s.board.production, s.board.previews+"{rollouts-pod-template-hash}")
	err := errors.Join(
		os.WriteFile(s.path("dsn"), []byte(s.database.dsn+"\n"), 0o600),
		os.WriteFile(s.path("config.yaml"), []byte(config), 0o600),
	)
	if err != nil {
		return fmt.Errorf("write the workers' configuration: %w", err)
	}
	if err := s.program(ctx, "migrate", "up", "--target", "production", "--config", s.path("config.yaml")); err != nil {
		return err
	}
	s.say("schema %s is migrated", s.board.production)
	return nil
}

// program runs one of the program's commands to its end.
func (s *story) program(ctx context.Context, args ...string) error {
	var output bytes.Buffer
	cmd := exec.Command(s.options.Executable, args...)
	cmd.Env, cmd.Dir = s.environ(), s.dir
	cmd.Stdout, cmd.Stderr = &output, &output
	p, err := startProcess(cmd)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		_ = p.SignalGroup(syscall.SIGTERM)
		if !p.Wait(drainTimeout) {
			_ = p.SignalGroup(syscall.SIGKILL)
		}
		<-p.Done()
		return context.Cause(ctx)
	}
	if p.Err() != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args[:2], " "), p.Err(), strings.TrimSpace(output.String()))
	}
	return nil
}

// environ is the environment without what would configure the workers.
func (s *story) environ() []string {
	return slices.DeleteFunc(slices.Clone(s.options.Environ), func(line string) bool {
		return strings.HasPrefix(line, "UNDERSTUDY_") || strings.HasPrefix(line, "APP_VERSION=")
	})
}
