package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// run runs a command of the shipped program on production, and returns what it
// printed. Its error is what it said, where the command line or the input was
// at fault.
func (h *hall) run(ctx context.Context, in string, args ...string) (string, error) {
	const longest = 128 << 10 // of one argument, to Linux
	for _, arg := range args {
		if len(arg) >= longest || strings.Contains(arg, "\x00") {
			return "", errUnsayable
		}
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, shipped(h.t), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &out, &errs
	cmd.Env = append(os.Environ(), "UNDERSTUDY_TARGETS__PRODUCTION__DSN="+h.place.server.DSN(h.place.database),
		"UNDERSTUDY_TARGETS__PRODUCTION__SCHEMA="+h.place.schema)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.String(), nil
	case errors.As(err, &exit) && exit.ExitCode() == 2 && out.Len() == 0:
		return "", errors.New(strings.TrimSuffix(errs.String(), "\n"))
	}
	return "", fmt.Errorf("%.100q: %w, printed %.500q and %.500q", args, err, &out, &errs)
}

// ok is run for a command that must not fail.
func (h *hall) ok(args ...string) string {
	h.t.Helper()
	out, err := h.run(h.t.Context(), "", args...)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// command enqueues one job by the command line.
func (h *hall) command(ctx context.Context, in input) ([]int64, error) {
	args, err := h.flags(in)
	if err != nil {
		return nil, err
	}
	if text, given := in["args"]; given {
		args = append(args, text)
	}
	return h.ids(ctx, "", args)
}

// lines enqueues a line in the midst of others. What is no line's is a flag, as
// for one job.
func (h *hall) lines(ctx context.Context, in input) ([]int64, error) {
	text, given := in["args"]
	args, err := h.flags(in)
	if !given || err != nil {
		return nil, errUnsayable
	}
	others := strings.Repeat("{}\n", h.around)
	ids, err := h.ids(ctx, others+text+"\n"+others, append(args, "-"))
	if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("line %d", h.around+1)) {
		h.t.Errorf("%.500q does not name line %d", err, h.around+1)
	}
	return ids, err
}

func (h *hall) flags(in input) ([]string, error) {
	args := []string{"enqueue", h.kind, "-o=json"}
	for _, p := range parameters {
		switch text, given := in[p.name]; {
		case !given || p.name == "args":
		case p.name == "kind":
			args[1] = text
		case p.flag == "":
			return nil, errUnsayable
		default:
			args = append(args, p.flag+"="+text)
		}
	}
	return args, nil
}

// ids runs enqueue and returns the ids that it printed.
func (h *hall) ids(ctx context.Context, in string, args []string) ([]int64, error) {
	out, err := h.run(ctx, in, args...)
	if err != nil {
		return nil, err
	}
	var printed struct{ IDs []int64 }
	err = json.Unmarshal([]byte(out), &printed)
	return printed.IDs, err
}

// steers retries or cancels jobs, and says what state they must get.
func (h *hall) steers(verb string, ids []int64, want understudy.State) {
	h.t.Helper()
	args := []string{"jobs", verb}
	var lines []string
	for _, id := range ids {
		args = append(args, strconv.FormatInt(id, 10))
		lines = append(lines, fmt.Sprintf("%d %s\n", id, want))
	}
	if out := h.ok(args...); out != strings.Join(lines, "") {
		h.t.Errorf("jobs %s printed %q, want %q", verb, out, lines)
	}
}

// looks looks at jobs in every way that people have, whatever the jobs hold.
func (h *hall) looks(ids []int64) {
	h.t.Helper()
	all, counted := 0, int64(0)
	if err := h.place.pool.QueryRow(h.t.Context(), h.place.sql("SELECT count(*) FROM {schema}.jobs")).Scan(&all); err != nil {
		h.t.Fatal(err)
	}
	var rows []store.JobRow
	var counts []store.Count
	h.decodes(&rows, "jobs", "list", "--limit=100000")
	h.decodes(&counts, "jobs", "counts")
	for _, c := range counts {
		counted += c.Count
	}
	if len(rows) != all || counted != int64(all) {
		h.t.Errorf("%d jobs are listed and %d counted, of %d", len(rows), counted, all)
	}
	h.prints(1+all, "jobs", "list", "--limit=100000")
	h.prints(1+len(counts), "jobs", "counts")
	for _, id := range slices.Sorted(slices.Values(ids)) {
		h.prints(0, "jobs", "show", strconv.FormatInt(id, 10))
	}
}

func (h *hall) decodes(v any, args ...string) {
	h.t.Helper()
	if err := json.Unmarshal([]byte(h.ok(append(args, "-o=json")...)), v); err != nil {
		h.t.Errorf("%q prints what is no JSON: %v", args, err)
	}
}

// prints checks that a command prints so many lines, or 0 for any number, and
// nothing that steers a terminal.
func (h *hall) prints(lines int, args ...string) {
	h.t.Helper()
	out := h.ok(args...)
	if got := strings.Count(out, "\n"); lines > 0 && got != lines {
		h.t.Errorf("%q prints %d lines, want %d", args, got, lines)
	}
	if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }); i >= 0 {
		h.t.Errorf("%q prints a control character: %.200q", args, out[i:])
	}
}
