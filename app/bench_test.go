package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/app"
	"github.com/understudy-worker/understudy/internal/kubelet"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
	"github.com/understudy-worker/understudy/supervisor"
)

// bench is a whole worker in this process, on a server of its own that makes
// commits durable.
type bench struct {
	b       *testing.B
	pool    *pgxpool.Pool
	dsn     string
	volume  *kubelet.Volume
	started chan string // target of each job that a handler begins
	done    atomic.Int64
}

func newBench(b *testing.B) *bench {
	b.Helper()
	n := &bench{b: b, dsn: pgtest.Server(b).DSN("postgres"), volume: kubelet.New(filepath.Join(b.TempDir(), "pod")), started: make(chan string, 1)}
	var err error
	if n.pool, err = pgxpool.New(context.Background(), n.dsn); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(n.pool.Close)
	for _, schema := range []string{"production", "preview"} {
		err := store.Migrate(context.Background(), n.pool.Config().ConnConfig, store.MigrateOptions{Schema: schema, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
	}
	return n
}

func (n *bench) role(role string) {
	n.b.Helper()
	if err := n.volume.Write(map[string]string{"labels": kubelet.Labels(map[string]string{"role": role})}); err != nil {
		n.b.Fatal(err)
	}
}

// run starts the worker and returns what stops it.
func (n *bench) run(flags ...string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	var log bytes.Buffer
	go func() {
		code <- app.Run(ctx, app.Options{Handlers: n.handlers}, app.IO{Args: n.args(flags), In: strings.NewReader(""), Out: io.Discard, Err: &log})
	}()
	return func() {
		cancel()
		if c := <-code; c != 0 {
			n.b.Errorf("exit code %d:\n%s", c, &log)
		}
	}
}

func (n *bench) args(flags []string) []string {
	return append([]string{
		"run", "--podinfo.dir=" + n.volume.Dir(), "--log.level=warn",
		"--targets.production.dsn=" + n.dsn, "--targets.preview.dsn=" + n.dsn,
	}, flags...)
}

func (n *bench) handlers(_ context.Context, env supervisor.Env) (understudy.Handlers, error) {
	return understudy.Handlers{
		"noop": understudy.HandlerFunc(func(context.Context, *understudy.Job) error {
			n.done.Add(1)
			return nil
		}),
		"tell": understudy.HandlerFunc(func(context.Context, *understudy.Job) error {
			n.started <- env.Target
			return nil
		}),
	}, nil
}

func (n *bench) enqueue(schema, kind string, jobs int) {
	n.b.Helper()
	s, err := store.New(n.pool, schema)
	if err != nil {
		n.b.Fatal(err)
	}
	batch := slices.Repeat([]store.NewJob{{Kind: kind, Args: map[string]any{"to": "someone@example.org", "n": 7}}}, jobs)
	if _, err := s.EnqueueMany(context.Background(), batch); err != nil {
		n.b.Fatal(err)
	}
}

// BenchmarkDrain works 200,000 waiting no-op jobs with durable outcomes.
func BenchmarkDrain(b *testing.B) {
	for b.Loop() {
		drainWhile(b, func(*bench) (stop func()) { return func() {} }, "--http.addr=")
	}
}

// BenchmarkDrainWatched is the same while so many pages of the worker are open:
// what they cost, the reading of their streams too, which shares the machine.
func BenchmarkDrainWatched(b *testing.B) {
	for _, viewers := range []int{0, 200} {
		b.Run(fmt.Sprintf("viewers=%d", viewers), func(b *testing.B) {
			for b.Loop() {
				addr := freeAddr(b)
				drainWhile(b, func(*bench) (stop func()) { return watch(b, addr, viewers) }, "--http.addr="+addr)
			}
		})
	}
}

// drainWhile works the jobs while something goes on.
func drainWhile(b *testing.B, begin func(*bench) (stop func()), flags ...string) {
	b.Helper()
	const jobs = 200_000
	b.StopTimer()
	n := newBench(b)
	n.role("")
	stop := n.run(append(flags, "--queues.default.concurrency=100")...)
	n.enqueue("production", "noop", jobs)
	if _, err := n.pool.Exec(context.Background(), "VACUUM ANALYZE"); err != nil {
		b.Fatal(err)
	}
	end := begin(n)
	b.StartTimer()
	n.role("active")
	began := time.Now()
	for open := true; open; time.Sleep(5 * time.Millisecond) {
		if n.done.Load() == jobs {
			if err := n.pool.QueryRow(context.Background(), "SELECT EXISTS (SELECT FROM production.open_jobs)").Scan(&open); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(jobs/time.Since(began).Seconds(), "jobs/s")
	b.StopTimer()
	end()
	stop()
	b.StartTimer()
}

// freeAddr is an address that nobody listens on.
func freeAddr(b *testing.B) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// watch opens streams and reads them until the returned function is called. It
// returns when all have begun.
func watch(b *testing.B, addr string, viewers int) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var begun, reading sync.WaitGroup
	for range viewers {
		begun.Add(1)
		reading.Go(func() {
			body, err := follow(ctx, "http://"+addr+"/events")
			begun.Done()
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, body)
			_ = body.Close()
		})
	}
	begun.Wait()
	return func() {
		cancel()
		reading.Wait()
	}
}

// follow opens a stream and reads the first of it.
func follow(ctx context.Context, url string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	for errors.Is(err, syscall.ECONNREFUSED) { // it is about to start
		time.Sleep(10 * time.Millisecond)
		response, err = http.DefaultClient.Do(request)
	}
	if err != nil {
		return nil, err
	}
	_, err = io.ReadFull(response.Body, make([]byte, 64))
	return response.Body, err
}

// BenchmarkSwap measures from the rename of ..data to the start of the first
// job's handler on the new target. Run it with -benchtime=200x.
func BenchmarkSwap(b *testing.B) {
	n := newBench(b)
	n.role("active")
	stop := n.run("--http.addr=")
	defer stop()
	n.enqueue("production", "tell", 1)
	<-n.started
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		to := []string{"preview", "production"}[len(took)%2]
		n.enqueue(to, "tell", 1)
		time.Sleep(150 * time.Millisecond) // roles do not change faster than files are read
		b.StartTimer()
		begin := time.Now()
		n.role(map[string]string{"preview": "preview", "production": "active"}[to])
		if got := <-n.started; got != to {
			b.Fatalf("a job of %s began, want %s", got, to)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkStart measures from the start of the process to the start of its
// first job's handler, on a migrated schema, and what memory it then takes idle.
func BenchmarkStart(b *testing.B) {
	n := newBench(b)
	n.role("active")
	program := build(b)
	for b.Loop() {
		b.StopTimer()
		n.enqueue("production", "echo", 1)
		b.StartTimer()
		cmd := exec.Command(program, n.args([]string{"--http.addr=127.0.0.1:0"})...)
		cmd.Env = os.Environ()
		begin := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		n.untilNone("open_jobs")
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "first-job-ms")
		b.StopTimer()
		time.Sleep(2 * time.Second) // idle for a few polls
		b.ReportMetric(residentMB(b, cmd.Process.Pid), "idle-MB")
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
		b.StartTimer()
	}
}

func (n *bench) untilNone(table string) {
	for some := true; some; time.Sleep(time.Millisecond) {
		if err := n.pool.QueryRow(context.Background(), "SELECT EXISTS (SELECT FROM production."+table+")").Scan(&some); err != nil {
			n.b.Fatal(err)
		}
	}
}

// build builds the program as it is shipped.
func build(b *testing.B) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "understudy")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/understudy").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return program
}

// residentMB is how much memory a process has resident, by Linux.
func residentMB(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip("resident memory is read from /proc")
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kb float64
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		b.Fatal(err)
	}
	return kb / 1024
}
