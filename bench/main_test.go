package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy/internal/pgtest"
)

// TestMain makes the worker processes that the tests start, which are this
// program again, worker processes.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == workerCommand {
		main()
		return
	}
	// Under the race detector each of them would sleep for a second at its end.
	if err := os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	pgtest.Main(m)
}

// bench runs the program and returns what it prints.
func bench(t *testing.T, args ...string) string {
	t.Helper()
	var out, log bytes.Buffer
	if err := run(t.Context(), args, strings.NewReader(""), &out, &log); err != nil {
		t.Fatalf("bench %s: %v\n%s", strings.Join(args, " "), err, &log)
	}
	return out.String()
}

// want are the variants that a quick round measures, and the systems that have them.
var want = map[string][]string{
	"drain small": {"understudy", "river", "gue"}, "drain large": {"understudy", "river"},
	"sustained sustained": {"understudy", "river", "gue"},
	"latency paced":       {"understudy", "river", "gue"},
	"enqueue single":      {"understudy", "river", "gue"}, "enqueue parallel": {"understudy", "river", "gue"},
	"enqueue batch": {"understudy", "river", "gue"}, "enqueue sql": {"understudy"}, "enqueue copy": {"river"},
	"history base": {"understudy", "river", "gue"}, "history scheduled": {"understudy", "river", "gue"},
	"history finished": {"understudy", "river"},
	"held base":        {"understudy", "river"}, "held held": {"understudy", "river"},
	"processes 1": {"understudy", "river"}, "processes 2": {"understudy", "river"},
	"swap idle": {"understudy"}, "swap load": {"understudy"},
	"slow slow": {"understudy", "river", "gue"}, "slow slowest": {"understudy", "river"},
}

func TestAQuickRoundMeasuresEverything(t *testing.T) {
	dir := t.TempDir()
	raw, plot := filepath.Join(dir, "raw.json"), filepath.Join(dir, "plot.svg")
	dsn := pgtest.Database(t)
	printed := bench(t, "-quick", "-peers-too", "-rounds=1", "-dsn="+dsn, "-out="+raw, "-plot="+plot)

	r, err := readReport(raw)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, one := range r.Results {
		name := one.Measure + " " + one.Variant
		got[name] = append(got[name], one.System)
		checkFigures(t, one)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was measured (-want +got):\n%s", diff)
	}
	if again := bench(t, "-from="+raw); again != printed {
		t.Errorf("drawn from the raw results the tables differ (-run +from):\n%s", cmp.Diff(printed, again))
	}
	if svg, err := os.ReadFile(plot); err != nil || !bytes.Contains(svg, []byte("</svg>")) {
		t.Errorf("the plot is no SVG: %v", err)
	}
}

// checkFigures checks that figures are what any machine's could be.
func checkFigures(t *testing.T, one result) {
	t.Helper()
	if len(one.Figures) == 0 {
		t.Errorf("%s has no figures", one)
	}
	for name, value := range one.Figures {
		if value < 0 || math.IsNaN(value) || math.IsInf(value, 0) {
			t.Errorf("%s: %s is %v", one, name, value)
		}
	}
	for _, name := range []string{"jobs_per_s", "wal_enqueue_per_job", "wal_work_per_job", "table_bytes_per_job", "of_ideal", "to_base"} {
		if value, has := one.Figures[name]; has && value <= 0 {
			t.Errorf("%s: %s is %v", one, name, value)
		}
	}
	if one.Figures["p50_ms"] > one.Figures["p99_ms"] || one.Figures["p99_ms"] > one.Figures["max_ms"] {
		t.Errorf("%s: its quantiles are out of order", one)
	}
}

func TestTheTemporaryServerKeepsWhatItCommits(t *testing.T) {
	raw := filepath.Join(t.TempDir(), "raw.json")
	bench(t, "-quick", "-measures=sustained", "-systems=understudy", "-rounds=1", "-out="+raw)
	r, err := readReport(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes", "autovacuum"} {
		if r.Settings[name] != "on" {
			t.Errorf("%s is %q, want on", name, r.Settings[name])
		}
	}
}

func TestWrongFlagsAreNamed(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-measures=drain,speed":    `there is no "speed"`,
		"-systems=que":             `there is no "que"`,
		"-rounds=0":                "use 1 or more",
		"drain":                    `argument "drain"`,
		"-from=/no/such/file.json": "no such file",
		"-dsn=postgres://%":        "-dsn cannot be read",
	} {
		err := run(t.Context(), []string{args}, strings.NewReader(""), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("bench %s: %v, want an error with %q", args, err, want)
		}
	}
}

func TestHelpIsNoError(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, strings.NewReader(""), io.Discard, &log); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "drain,sustained,latency") {
		t.Errorf("help does not list the measures:\n%s", &log)
	}
}

func TestRawResultsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "raw.json")
	if err := sample.write(name); err != nil {
		t.Fatal(err)
	}
	got, err := readReport(name)
	if err != nil {
		t.Fatal(err)
	}
	wantJSON, _ := json.Marshal(sample)
	gotJSON, _ := json.Marshal(got)
	if diff := cmp.Diff(string(wantJSON), string(gotJSON)); diff != "" {
		t.Errorf("raw results (-want +got):\n%s", diff)
	}
}
