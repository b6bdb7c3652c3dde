package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// maxCount is how many jobs one enqueue --count makes at the most.
const maxCount = 1_000_000

// enqueuing is what enqueue was asked for.
type enqueuing struct {
	aim
	out         output
	job         store.NewJob // but for its time
	due         moment
	count       int
	priority    int16
	maxAttempts int16
	bulk        bool // a job for each line of the input
}

func (a *application) enqueueCommand() *cobra.Command {
	var e enqueuing
	cmd := &cobra.Command{
		Use:   "enqueue KIND [ARGS|-]",
		Short: "Enqueue jobs and print their ids, one a line",
		Long: `Enqueue jobs and print their ids, one a line, in the order given.

ARGS is the JSON that the handler of KIND gets, {} by default. With - there is a
job for each line of the standard input, one JSON object a line; empty lines are
passed over. Whatever the number, all jobs are enqueued or none, in one
transaction. Its ids, and a word on how many there are, come once it is committed.

With --unique-key, and an unfinished job of KIND that has that key, nothing is
enqueued and that job's id is printed.`,
		Example: `  understudy enqueue mail '{"to": "a@b.example"}' --scheduled-at 10m
  jq -c '.[]' mails.json | understudy enqueue mail -`,
		Args: usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := e.read(cmd.Flags(), args); err != nil {
				return err
			}
			return a.withClient(cmd, e.aim, func(ctx context.Context, c *client) error {
				ids, err := e.enqueue(ctx, c, cmd.InOrStdin())
				if err != nil {
					return err
				}
				return e.print(cmd, c, ids)
			})
		},
	}
	e.flags(cmd, "production")
	e.writes = true
	e.out.flag(cmd, "text")
	flags := cmd.Flags()
	flags.IntVar(&e.count, "count", 1, "how many of the job to enqueue")
	flags.StringVar(&e.job.Queue, "queue", understudy.DefaultQueue, "queue that the job waits in")
	flags.Var(&e.due, "scheduled-at", "when the job is due: a time such as 2030-01-31T12:00:00Z,\nor how long from now by the database's clock, such as 10m (default now)")
	flags.Int16Var(&e.priority, "priority", understudy.DefaultPriority, "priority, from 1, claimed first, to 4")
	flags.Int16Var(&e.maxAttempts, "max-attempts", understudy.DefaultMaxAttempts, "attempts after which a failing job is discarded")
	flags.StringVar(&e.job.UniqueKey, "unique-key", "", "key that only one unfinished job of the kind may have")
	return cmd
}

// read checks the command line; the store takes some of the zero values for
// the defaults, which nobody means who writes them.
func (e *enqueuing) read(flags *pflag.FlagSet, args []string) (err error) {
	e.job.Kind, e.job.Args = args[0], json.RawMessage("{}")
	e.job.Priority, e.job.MaxAttempts = int(e.priority), int(e.maxAttempts)
	e.bulk = len(args) == 2 && args[1] == "-"
	switch {
	case e.job.Kind == "" || len(e.job.Kind) > understudy.MaxNameBytes:
		return usagef("KIND has %d bytes: use 1 to %d", len(e.job.Kind), understudy.MaxNameBytes)
	case e.job.Queue == "" || len(e.job.Queue) > understudy.MaxNameBytes:
		return usagef("--queue has %d bytes: use 1 to %d", len(e.job.Queue), understudy.MaxNameBytes)
	case e.count < 1 || e.count > maxCount:
		return usagef("--count %d: use 1 to %d", e.count, maxCount)
	case e.bulk && flags.Changed("count"):
		return usagef("--count does not go with -: each line is one job")
	case flags.Changed("unique-key") && (e.bulk || flags.Changed("count")):
		return usagef("--unique-key goes with one job, not with --count or -: only one can have the key")
	case flags.Changed("unique-key") && e.job.UniqueKey == "":
		return usagef("--unique-key is empty: leave it out for a job that is not unique")
	case e.priority < understudy.MinPriority || e.priority > understudy.MaxPriority:
		return usagef("--priority %d: use %d to %d", e.priority, understudy.MinPriority, understudy.MaxPriority)
	case e.maxAttempts < 1:
		return usagef("--max-attempts %d: use 1 to %d", e.maxAttempts, math.MaxInt16)
	case len(args) == 2 && !e.bulk:
		if e.job.Args, err = parseArgs(args[1]); err != nil {
			return usagef("ARGS %w", err)
		}
	}
	return nil
}

// enqueue enqueues the jobs and returns their ids.
func (e *enqueuing) enqueue(ctx context.Context, c *client, in io.Reader) ([]int64, error) {
	var err error
	if e.job.ScheduledAt, err = e.due.on(ctx, c.Store); err != nil {
		return nil, err
	}
	if e.bulk {
		return (&lines{in: newInput(ctx, in), job: e.job, client: c}).enqueue(ctx)
	}
	return c.EnqueueMany(ctx, slices.Repeat([]store.NewJob{e.job}, e.count))
}

// enqueued is what enqueue -o json prints.
type enqueued struct {
	Target string  `json:"target"`
	Schema string  `json:"schema"`
	Kind   string  `json:"kind"`
	IDs    []int64 `json:"ids"`
}

func (e *enqueuing) print(cmd *cobra.Command, c *client, ids []int64) error {
	if e.out.json() {
		return writeJSON(cmd.OutOrStdout(), enqueued{Target: c.target.Name, Schema: c.Schema(), Kind: e.job.Kind, IDs: ids})
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	for _, id := range ids {
		_, _ = fmt.Fprintln(out, id) // Flush returns its error
	}
	if err := out.Flush(); err != nil || len(ids) == 1 {
		return err
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "enqueued %s of kind %q in schema %q\n", plural(len(ids), "job"), e.job.Kind, c.Schema())
	return err
}

// byteOrderMark is what some editors and programs begin a text with.
const byteOrderMark = "\ufeff"

// parseArgs reads a job's arguments; the store checks what JSON it keeps. The
// text of the error goes on from what the arguments are called.
func parseArgs(text string) (args json.RawMessage, err error) {
	text = strings.TrimPrefix(text, byteOrderMark)
	if err := json.Unmarshal([]byte(text), &args); err != nil {
		return nil, fmt.Errorf(`is not JSON: %w: write it like '{"key": "value"}'`, err)
	}
	return args, nil
}

// moment is the flag --scheduled-at: a time, or a delay.
type moment struct {
	text  string
	at    time.Time
	delay time.Duration
}

func (m *moment) String() string { return m.text }
func (m *moment) Type() string   { return "time" }

// Set takes a time in RFC 3339's form, or a delay.
func (m *moment) Set(text string) (err error) {
	m.text = text
	if m.at, err = time.Parse(time.RFC3339, text); err == nil {
		return nil
	}
	if m.delay, err = time.ParseDuration(strings.TrimPrefix(text, "+")); err != nil || m.delay < 0 {
		return fmt.Errorf("use a time such as 2030-01-31T12:00:00Z, or a delay such as 10m or 36h")
	}
	return nil
}

// on is the moment by the database's clock; zero for now.
func (m *moment) on(ctx context.Context, s *store.Store) (time.Time, error) {
	if m.delay == 0 {
		return m.at, nil
	}
	now, err := s.Now(ctx)
	return now.Add(m.delay), err
}
