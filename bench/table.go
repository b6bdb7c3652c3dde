package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// table is one table of a report.
type table struct {
	title string
	parts []part
	notes map[string]string // by the system that they are about
}

// part is the rows of one measure.
type part struct {
	measure  string
	prefix   string   // of each row's text
	variants []string // nil for all
	figures  []figure
}

// figure is one row of each variant.
type figure struct {
	key    string
	label  string // "" where the variant says it
	format func(float64) string
}

// tables are those that compare the systems side by side.
var tables = []table{
	{
		title: "Throughput and latency",
		parts: []part{
			{measure: "drain", prefix: "drain ", figures: []figure{{"jobs_per_s", "jobs/s", number}}},
			{measure: "sustained", figures: []figure{{"jobs_per_s", "jobs/s", number}}},
			{measure: "enqueue", prefix: "enqueue ", figures: []figure{{"jobs_per_s", "jobs/s", number}}},
			{measure: "latency", figures: []figure{
				{"p50_ms", "p50, ms from its commit", number}, {"p95_ms", "p95", number}, {"p99_ms", "p99", number}, {"max_ms", "max", number},
				{"p50_from_call_ms", "p50, ms from the call of enqueue", number}, {"p99_from_call_ms", "p99", number},
			}},
			{measure: "slow", figures: []figure{{"of_ideal", "of what the slots could do", percent}}},
		},
		notes: map[string]string{
			gueKey: "gue deletes finished jobs and keeps no history. It holds a connection for each running job, and gets fewer jobs to drain.",
		},
	},
	{
		title: "What a job costs",
		parts: []part{{measure: "drain", variants: []string{variantSmall}, figures: []figure{
			{"wal_enqueue_per_job", "WAL to enqueue it, bytes", number},
			{"wal_work_per_job", "WAL to work it, bytes", number},
			{"dead_rows_per_job", "dead row versions", number},
			{"table_bytes_per_job", "table afterwards, bytes", number},
			{"index_bytes_per_job", "indexes afterwards, bytes", number},
			{"worker_ms_per_1k_jobs", "CPU of the worker, ms per 1,000 jobs", number},
			{"server_ms_per_1k_jobs", "CPU of the server, ms per 1,000 jobs", number},
			{"connections", "connections of the worker, at most", whole},
		}}},
	},
	{
		title: "Beside other rows",
		parts: []part{
			{measure: "history", figures: []figure{{"jobs_per_s", "jobs/s", number}, {"to_base", "of the rate alone", percent}}},
			{measure: "held", figures: []figure{{"passed", "jobs that passed", whole}, {"jobs_per_s", "jobs/s", number}, {"to_base", "of the rate alone", percent}}},
		},
	},
	{
		title: "Several worker processes",
		parts: []part{{measure: "processes", figures: []figure{
			{"jobs_per_s", "jobs/s together", number}, {"locked_share", "looks at which one waited for a lock", percent},
		}}},
	},
}

// writeTables writes everything that the report has figures for.
func writeTables(r *report, out io.Writer) error {
	w := &strings.Builder{}
	writeHead(r, w)
	for _, t := range tables {
		t.write(r, w)
	}
	writeSwaps(r, w)
	_, err := io.WriteString(out, w.String())
	return err
}

// writeHead says what was measured on.
func writeHead(r *report, w *strings.Builder) {
	rounds := 0
	for _, one := range r.Results {
		rounds = max(rounds, one.Round)
	}
	var modules []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		modules = append(modules, name+" "+r.Versions[name])
	}
	fmt.Fprintf(w, "Measured on %s, with Postgres %s. %s.\n", r.Machine, describe(r.Settings), strings.Join(modules, ", "))
	fmt.Fprintf(w, "Median of %d rounds (least–most); the ratio is the median of the rounds' ratios.\n", rounds)
}

// write writes the table, if there is a figure for it.
func (t table) write(r *report, w *strings.Builder) {
	var rows []string
	compared := r.systems()
	for _, p := range t.parts {
		rows = append(rows, p.rows(r, compared)...)
	}
	if len(rows) == 0 {
		return
	}
	head, rule := "| |", "|---|"
	for _, s := range compared {
		head += " " + s.title + " |"
		rule += "---:|"
	}
	if r.both() {
		head += " Understudy ÷ River |"
		rule += "---:|"
	}
	fmt.Fprintf(w, "\n### %s\n\n%s\n%s\n%s\n", t.title, head, rule, strings.Join(rows, "\n"))
	for _, s := range compared {
		if note := t.notes[s.key]; note != "" {
			fmt.Fprintf(w, "\n%s\n", note)
		}
	}
}

// systems are those that the report has results of.
func (r *report) systems() []system {
	var found []system
	for _, s := range allSystems {
		if slices.ContainsFunc(r.Results, func(one result) bool { return one.System == s.key }) {
			found = append(found, s)
		}
	}
	return found
}

// both says whether Understudy can be compared with River.
func (r *report) both() bool {
	var keys []string
	for _, s := range r.systems() {
		keys = append(keys, s.key)
	}
	return slices.Contains(keys, understudyKey) && slices.Contains(keys, riverKey)
}

// rows are the part's rows.
func (p part) rows(r *report, compared []system) []string {
	var rows []string
	for _, v := range r.variants(p.measure) {
		if p.variants != nil && !slices.Contains(p.variants, v.key) {
			continue
		}
		for _, f := range p.figures {
			at := place{p.measure, v.key, f.key}
			if row, some := f.row(r, compared, at); some {
				rows = append(rows, fmt.Sprintf("| %s |%s", p.text(v, f), row))
			}
		}
	}
	return rows
}

// text says what a row is about. Where a part names its variants, the title has said them.
func (p part) text(v variant, f figure) string {
	if p.variants != nil {
		return f.label
	}
	return p.prefix + v.label + ", " + f.label
}

// row is the cells of one row, and whether there is any figure in it.
func (f figure) row(r *report, compared []system, at place) (cells string, some bool) {
	for _, s := range compared {
		spread, has := r.spread(s.key, at)
		if !has {
			cells += " n/a |"
			continue
		}
		some = true
		cells += " " + spread.text(f.format) + " |"
	}
	if !r.both() {
		return cells, some
	}
	if ratio, ok := r.ratio(understudyKey, riverKey, at); ok {
		return cells + " " + number(ratio) + " |", some
	}
	return cells + " n/a |", some
}

// writeSwaps writes the table of the swaps, which only Understudy has.
func writeSwaps(r *report, w *strings.Builder) {
	variants := r.variants(swapMeasure.key)
	if len(variants) == 0 {
		return
	}
	columns := []figure{
		{"p50_ms", "p50", number}, {"p99_ms", "p99", number}, {"max_ms", "max", number},
		{"p50_after_drain_ms", "p50 after the drain", number}, {"p99_after_drain_ms", "p99 after the drain", number},
	}
	fmt.Fprint(w, "\n### From the rename of a pod's files to the first job on the new target, ms\n\n| |")
	for _, c := range columns {
		fmt.Fprintf(w, " %s |", c.label)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---:|", len(columns)))
	for _, v := range variants {
		fmt.Fprintf(w, "| %s |", v.label)
		for _, c := range columns {
			spread, _ := r.spread(understudyKey, place{swapMeasure.key, v.key, c.key})
			fmt.Fprintf(w, " %s |", spread.text(c.format))
		}
		fmt.Fprintln(w)
	}
}
