package app

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/store"
)

// migrationReport is how far a schema is and, after migrate up, has come.
type migrationReport struct {
	Target  string         `json:"target"`
	Schema  string         `json:"schema"`
	Exists  bool           `json:"exists"`
	Serves  bool           `json:"serves"` // this version can work with it
	Changed bool           `json:"changed,omitempty"`
	Left    bool           `json:"left,omitempty"`     // --initial left it as it is
	BoundTo string         `json:"bound_to,omitempty"` // another schema that its functions act on
	Series  []seriesReport `json:"series"`
	Problem string         `json:"problem,omitempty"` // keeps a schema that is far enough from being served

	status, before store.MigrationStatus
}

// seriesReport is one series of migrations: the worker's own or the application's.
type seriesReport struct {
	Name    string `json:"name"`
	State   string `json:"state"` // none, missing, behind, current, ahead, renamed or dirty
	Version uint   `json:"version"`
	Needed  uint   `json:"needed"`
	From    *uint  `json:"from,omitempty"` // the version before migrate up
}

func newMigrationReport(target reload.Target, s store.MigrationStatus) migrationReport {
	r := migrationReport{
		Target: target.Name, Schema: target.Schema, Exists: s.Exists, Serves: s.Serves(), BoundTo: s.BoundTo, status: s,
		Series: []seriesReport{series("understudy", s.Ours, s.Exists), series("application", s.App, s.Exists)},
	}
	if ours := &r.Series[0]; s.BoundTo != "" && ours.State != "dirty" {
		ours.State = "renamed"
	}
	return r
}

func series(name string, p store.Progress, exists bool) seriesReport {
	r := seriesReport{Name: name, Version: p.Version, Needed: p.Needed, State: "current"}
	switch {
	case p.Dirty:
		r.State = "dirty"
	case p.Version > p.Needed:
		r.State = "ahead"
	case p.Needed == 0:
		r.State = "none"
	case !exists:
		r.State = "missing"
	case p.Version < p.Needed:
		r.State = "behind"
	}
	return r
}

// since adds where the schema has come from.
func (r migrationReport) since(before store.MigrationStatus) migrationReport {
	r.before, r.Changed = before, before != r.status
	for i, p := range []store.Progress{before.Ours, before.App} {
		from := p.Version
		if before.Dirty() && r.Changed {
			from = 0 // it was made anew
		}
		r.Series[i].From = &from
	}
	return r
}

// migrated prints what migrate up did.
func (o *output) migrated(cmd *cobra.Command, r migrationReport) error {
	if o.json() {
		return writeJSON(cmd.OutOrStdout(), r)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), r.sentence())
	return err
}

func (r migrationReport) sentence() string {
	if r.Left {
		return fmt.Sprintf("schema %q is %s: left as it is, since a worker has worked in it: --initial only sets up new ones, migrate up without it goes on", r.Schema, r.status)
	}
	if !r.Changed {
		return fmt.Sprintf("schema %q: nothing to do: %s", r.Schema, r.status)
	}
	how := "migrated"
	switch {
	case r.before.Dirty():
		how = "was dirty, made anew"
	case !r.before.Exists:
		how = "created"
	case r.before.BoundTo != "" && r.status.BoundTo == "":
		how = fmt.Sprintf("its functions acted on schema %q and act on this one now", r.before.BoundTo)
	}
	var steps []string
	for _, s := range r.Series {
		if s.State != "none" {
			steps = append(steps, fmt.Sprintf("%s %d → %d", s.Name, *s.From, s.Version))
		}
	}
	return fmt.Sprintf("schema %q: %s: %s", r.Schema, how, strings.Join(steps, ", "))
}

// migrationStatus prints how far a schema is, a line for each series.
func (o *output) migrationStatus(cmd *cobra.Command, r migrationReport) error {
	if o.json() {
		return writeJSON(cmd.OutOrStdout(), r)
	}
	var cells [][]string
	for _, s := range r.Series {
		cells = append(cells, []string{
			r.Target, r.Schema, s.Name, s.State, strconv.FormatUint(uint64(s.Version), 10), strconv.FormatUint(uint64(s.Needed), 10),
		})
	}
	if err := writeTable(cmd.OutOrStdout(), []string{"TARGET", "SCHEMA", "SERIES", "STATE", "VERSION", "NEEDED"}, cells); err != nil || r.Problem == "" {
		return err
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), r.Problem)
	return err
}
