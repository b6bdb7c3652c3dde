package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// measure is one thing that is measured.
type measure struct {
	key string
	// applies says whether a system has it; nil for all.
	applies func(o options, s system) bool
	// run measures a system once, and records one result or several.
	run func(ctx context.Context, t *trial) error
}

func (m measure) named() string { return m.key }

// allMeasures in the order in which each round takes them.
var allMeasures = []measure{
	drainMeasure, sustainedMeasure, latencyMeasure, enqueueMeasure, historyMeasure,
	heldMeasure, processesMeasure, swapMeasure, slowMeasure,
}

// inDatabase runs in a database of the measure's own, which is dropped afterwards.
func inDatabase(run func(ctx context.Context, t *trial, d *database) error) func(context.Context, *trial) error {
	return func(ctx context.Context, t *trial) (err error) {
		d, err := t.server.database(ctx, t.system)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.drop()) }()
		return run(ctx, t, d)
	}
}

// only says that a measure is for some systems.
func only(keys ...string) func(options, system) bool {
	return func(_ options, s system) bool { return slices.Contains(keys, s.key) }
}

// trial is one system's turn at one measure in one round.
type trial struct {
	options
	server  *server
	system  system
	measure measure
	round   int
	record  func(result) error
}

// keep records one result.
func (t *trial) keep(variant, label string, parameters map[string]int, figures map[string]float64) error {
	return t.record(result{
		System: t.system.key, Measure: t.measure.key, Variant: variant, Label: label, Round: t.round,
		Parameters: parameters, Figures: figures,
	})
}

// concurrency is how many jobs a worker of the system runs at a time.
func (t *trial) concurrency() int {
	if t.system.concurrency > 0 {
		return t.system.concurrency
	}
	return t.sizes.concurrency
}

// drainJobs is how many jobs the system gets to drain, of those that are due.
func (t *trial) drainJobs(jobs int) int {
	if t.system.slow {
		return min(jobs, t.sizes.gueDrain)
	}
	return jobs
}

// measureAll measures what the options say, round by round. In each round
// another system comes first, so that none is always measured on what another left.
func measureAll(ctx context.Context, o options, log io.Writer) (r *report, err error) {
	s, err := startServer(ctx, o.dsn)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	r = &report{Taken: time.Now().UTC().Truncate(time.Second), Machine: machine(), Versions: versions()}
	if r.Settings, err = s.settings(ctx); err != nil {
		return nil, err
	}
	logf(log, "Postgres %s on %s", describe(r.Settings), r.Machine)
	record := func(found result) error {
		r.Results = append(r.Results, found)
		logf(log, "%s", found)
		if o.out == "" {
			return nil
		}
		return r.write(o.out)
	}
	for round := 1; round <= o.rounds; round++ {
		for _, m := range o.measures {
			for _, of := range rotate(o.systems, round-1) {
				if m.applies != nil && !m.applies(o, of) {
					continue
				}
				t := &trial{options: o, server: s, system: of, measure: m, round: round, record: record}
				if err := m.run(ctx, t); err != nil {
					return nil, fmt.Errorf("%s of %s, round %d: %w", m.key, of.title, round, err)
				}
			}
		}
	}
	return r, nil
}

// rotate lets another one come first.
func rotate[T any](all []T, by int) []T {
	by %= len(all)
	return append(slices.Clone(all[by:]), all[:by]...)
}

// describe lists settings.
func describe(settings map[string]string) string {
	list := []string{settings["server_version"]}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if name != "server_version" {
			list = append(list, name+"="+settings[name])
		}
	}
	return strings.Join(list, " ")
}

// String is the line of progress of a run.
func (r result) String() string {
	var figures []string
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		figures = append(figures, fmt.Sprintf("%s=%.4g", name, r.Figures[name]))
	}
	return fmt.Sprintf("round %d  %-10s %-9s %-28s %s", r.Round, r.System, r.Measure, r.Label, strings.Join(figures, " "))
}
