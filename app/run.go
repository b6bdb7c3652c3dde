package app

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/dashboard"
	"github.com/understudy-worker/understudy/handlers"
	"github.com/understudy-worker/understudy/internal/initprocess"
	"github.com/understudy-worker/understudy/internal/web"
	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/supervisor"
)

func (a *application) runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Work jobs in the role that the pod's labels give",
		Long: `Work jobs in the role that the pod's labels give, until SIGTERM or SIGINT.

The role decides which target is served. When it changes, the worker stops
claiming, lets running jobs end, and serves the next target, without a restart.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.init && initprocess.Needed() {
				if err := a.hide(); err != nil {
					newLogger(a.Err, reload.Log{}).Warn("programs that exec starts may be able to read the init's variables", "err", err)
				}
				return runBelowInit()
			}
			config, err := a.config(cmd, "")
			if err != nil {
				return err
			}
			return a.run(cmd.Context(), config)
		},
	}
	reload.Flags(cmd.Flags())
	return cmd
}

// runBelowInit runs the worker in a process of its own, below this one, which
// reaps what its handlers' programs leave behind.
func runBelowInit() error {
	code, err := initprocess.Run()
	if err == nil && code != exitDone {
		err = &exitError{code}
	}
	return err
}

// run is the worker.
func (a *application) run(ctx context.Context, config reload.Config) error {
	if err := checkHandlers(config); err != nil {
		return err
	}
	if err := checkToken(config.HTTP); err != nil {
		return err
	}
	log := a.newLogger(a.Err, config.Log)
	if a.hide != nil && startsPrograms(config) {
		if err := a.hide(); err != nil {
			log.Warn("programs that exec starts may be able to read this process's variables, DSNs among them: use dsn_file", "err", err)
		}
	}
	traces, err := a.newTraces(config.Version, log)
	if err != nil {
		return err
	}
	defer traces.stop()
	return logged(log, a.work(ctx, config, log, traces))
}

// work runs HTTP and the supervisor. HTTP starts first and stops last, so that
// probes and metrics answer during a drain.
func (a *application) work(ctx context.Context, config reload.Config, log *slog.Logger, traces *traces) error {
	p, err := a.newProcess(config, log, traces)
	if err != nil {
		return err
	}
	listener, err := listen(config.HTTP.Addr)
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(context.WithoutCancel(ctx))
	serving, stopServing := context.WithCancel(groupCtx)
	group.Go(func() error { return p.serveHTTP(serving, listener) })
	group.Go(func() error {
		defer stopServing()
		return p.work(ctx, groupCtx)
	})
	return group.Wait()
}

// process is one worker process.
type process struct {
	config     reload.Config
	log        *slog.Logger
	watcher    *reload.Watcher
	supervisor *supervisor.Supervisor
	server     *server
	pages      *dashboard.Site
}

func (a *application) newProcess(config reload.Config, log *slog.Logger, traces *traces) (*process, error) {
	watcher, err := reload.NewWatcher(config, log)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p := &process{config: config, log: log, watcher: watcher}
	p.server = &server{options: a.Options, config: config, pod: podName(a.Environ), log: log, traces: traces}
	p.server.metrics = dashboard.NewMetrics(registry, p.sources())
	prepare := &preparer{app: a.Migrations, log: log, lockWait: workerLockWait}
	p.supervisor, err = supervisor.New(supervisor.Options{
		Snapshots: watcher.Snapshots(), Version: config.Version, Serve: p.server.serve,
		Prepare: prepare.prepare, Targets: p.targets, Lease: config.Worker.Lease, KeepSession: a.Handlers != nil,
		Observe: p.server.metrics.Swap, Tracer: traces.queries(), Log: log,
	})
	if err != nil {
		return nil, err
	}
	p.pages, err = dashboard.New(p.pageOptions(registry))
	return p, err
}

// work follows the pod files and serves what they say until ctx ends, or
// until either fails, or the HTTP server does.
func (p *process) work(ctx, group context.Context) error {
	p.log.Info("start", "version", p.config.Version, "commit", buildCommit, "pod", p.server.pod)
	defer p.server.closing.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(group, cancel)()
	watching, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	both, failed := errgroup.WithContext(watching)
	both.Go(func() error { return p.watcher.Run(failed) })
	both.Go(func() error {
		defer unwatch()
		defer context.AfterFunc(failed, cancel)()
		return p.supervisor.Run(ctx)
	})
	err := both.Wait()
	p.log.Info("stop", "completed", p.server.completed())
	return err
}

// targets are the configured targets as they stand now, for comparison.
func (p *process) targets() []reload.Target {
	return reload.Targets(p.config, p.watcher.Health().Labels)
}

// checkHandlers finds mistakes in the handlers' settings before any epoch.
func checkHandlers(config reload.Config) error {
	_, release, err := handlers.All(config.Handlers, understudy.Place{})
	if err != nil {
		return &usageError{err}
	}
	release()
	return nil
}

// startsPrograms says whether a handler runs programs, which are somebody else's code.
func startsPrograms(config reload.Config) bool {
	for _, handler := range config.Handlers {
		if handler["type"] == "exec" {
			return true
		}
	}
	return false
}

// listen binds first, so that a taken port ends the program before it works.
// An empty address means no HTTP.
func listen(addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("http.addr: %w: choose another with --http.addr, or none with --http.addr=", err)
	}
	return listener, nil
}

func (p *process) serveHTTP(ctx context.Context, listener net.Listener) error {
	if listener == nil {
		<-ctx.Done()
		return nil
	}
	p.log.Info("listening", "addr", listener.Addr().String())
	var pages sync.WaitGroup
	defer pages.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pages.Go(func() { p.pages.Run(ctx) })
	return web.Serve(ctx, listener, p.pages, p.log)
}

func (p *process) pageOptions(registry *prometheus.Registry) dashboard.Options {
	return dashboard.Options{
		Status: p.status, Ticked: p.supervisor.Ticked, Count: p.server.completed, Enqueue: p.server.enqueue,
		Worker: p.server.work, Podinfo: p.podinfo, Where: p.server.where, Pool: p.server.connections, Jobs: p.server.jobs,
		Metrics: p.server.metrics, Version: p.config.Version, Commit: buildCommit, Pod: p.server.pod, Lease: p.config.Worker.Lease,
		ReadyRequires: p.config.HTTP.ReadyRequires, ReadOnly: p.config.HTTP.ReadOnly, Token: tokenOf(p.config.HTTP), Gatherer: registry, Log: p.log,
	}
}

// status is the supervisor's, which knows nothing of what an epoch does: it is
// served from when the database has a row of it, and as long as it can finish what
// it begins.
func (p *process) status() understudy.Status {
	status := p.supervisor.Status()
	if status.Phase != understudy.PhaseServing {
		return status
	}
	now := p.server.now.Load()
	if now == nil || !now.opened() {
		status.Phase, status.Problem = understudy.PhaseOpening, cmp.Or(status.Problem, p.supervisor.Obstacle())
		return status
	}
	if o, ok := now.worker.Obstacle(); ok {
		status.Stalled = fmt.Sprintf("cannot %s since %s", o.Doing, o.Since.UTC().Format(time.RFC3339))
		status.Problem = cmp.Or(status.Problem, status.Stalled+": "+o.Error)
	}
	return status
}

// podinfo is what the pod files say, and how well they can be seen.
func (p *process) podinfo() dashboard.Podinfo {
	h := p.watcher.Health()
	return dashboard.Podinfo{ReadAt: h.ReadAt, Rearms: h.Rearms, Watching: h.Watching, Err: h.Err, Labels: h.Labels}
}
