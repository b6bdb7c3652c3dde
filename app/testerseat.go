package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy/internal/tester"
	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/store"
	"github.com/understudy-worker/understudy/supervisor"
)

// seatConns is how many connections a tester may take for each side: some may
// enqueue many jobs while one looks.
const seatConns = 4

// seat is where one side of the tester looks: a schema of a target or, for a
// template that nobody gave labels for, the preview of now.
type seat struct {
	*client
	template string         // of the preview's name, "" for the target's schema
	like     *regexp.Regexp // what such names are like
	roles    []string       // that lead to the target
}

// newSeat makes the seat of what a command is about. It does not connect.
func (a *application) newSeat(cmd *cobra.Command, f aim) (*seat, reload.Config, error) {
	config, err := a.config(cmd, f.target)
	if err != nil {
		return nil, config, err
	}
	s := &seat{}
	if template := config.Targets[f.target].Schema; isPreview(f.target) && strings.Contains(template, "{") && f.vague() {
		s.template, s.like = template, schemasLike(template)
		f.schema = "preview" // any name will do
	}
	labels, err := f.putSchema(&config)
	if err != nil {
		return nil, config, &usageError{err}
	}
	read := func() (reload.Target, error) { return reload.ReadTarget(config, f.target, labels) }
	target, err := read()
	if err != nil { // of a file that it names: nothing was connected to yet
		return nil, config, &usageError{err}
	}
	for _, role := range slices.Sorted(maps.Keys(config.Roles)) {
		if config.Roles[role] == f.target {
			s.roles = append(s.roles, role)
		}
	}
	s.client, err = newClient(cmd.Context(), target, func(config *pgxpool.Config) {
		config.MaxConns = seatConns
		supervisor.RefuseStandbys(config)
		config.BeforeConnect = renewLogin(read)
	})
	return s, config, err
}

// vague says that no flag tells which of a target's schemas is meant.
func (f aim) vague() bool { return f.schema == "" && f.hash == "" && len(f.labels) == 0 }

// isPreview says whether a target's schemas carry a mark that they are found by.
func isPreview(target string) bool { return mark(reload.Target{Name: target}) != "" }

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// schemasLike is what a template's names are like, whatever the labels are.
func schemasLike(template string) *regexp.Regexp {
	parts := placeholder.Split(template, -1)
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile("^" + strings.Join(parts, "[a-z0-9_]+") + "$")
}

// renewLogin lets a new connection use the login of now, of a file that has
// changed say. Another server or database takes another start of the tester.
func renewLogin(read func() (reload.Target, error)) func(context.Context, *pgx.ConnConfig) error {
	return func(_ context.Context, c *pgx.ConnConfig) error {
		if target, err := read(); err == nil { // else the login of before may be as good
			supervisor.RenewLogin(c, target.DSN)
		}
		return nil
	}
}

// side is the seat as the tester takes it.
func (s *seat) side(name, title, tone string) tester.Side {
	return tester.Side{Name: name, Title: title, Tone: tone, Find: s.find, Advice: s.advice()}
}

// find says where the side is now.
func (s *seat) find(ctx context.Context) (tester.Place, error) {
	if s.like == nil {
		return s.at(ctx, s.target.Schema)
	}
	previews, err := store.Previews(ctx, s.pool, s.target.Name, s.like.MatchString)
	if err == nil && len(previews) > 0 {
		return s.at(ctx, previews[0].Schema)
	}
	if err == nil {
		err = &tester.Trouble{
			What: fmt.Sprintf("No preview has begun: there is no schema %s.", s.template),
			Do:   "Deploy a version into preview. It makes its schema itself, and is shown here then.",
		}
	}
	place, _ := tester.At(s.pool, "")
	return place, err
}

// at is a schema that what the page calls acts on.
func (s *seat) at(ctx context.Context, schema string) (tester.Place, error) {
	place, err := tester.At(s.pool, schema)
	if err != nil {
		return place, err
	}
	err = store.CheckAccess(ctx, s.pool, schema)
	var bound *store.BoundError
	if errors.As(err, &bound) {
		err = &tester.Trouble{
			What: fmt.Sprintf("The functions of schema %q act on schema %q, whose name they keep: it was renamed, or copied.", schema, bound.To),
			Do:   fmt.Sprintf("Run: understudy migrate up --target %s --schema %s", s.target.Name, schema),
		}
	}
	return place, err
}

func (s *seat) advice() tester.Advice {
	up := "understudy migrate up --target " + s.target.Name
	unmigrated := fmt.Sprintf("Run: %s", up)
	if s.target.Migrations == reload.MigrationsApply {
		unmigrated = fmt.Sprintf("A worker of target %s makes it when it starts; without one, run: %s", s.target.Name, up)
	}
	unserved := fmt.Sprintf("Map a role to target %s, and start a worker in it.", s.target.Name)
	if len(s.roles) > 0 {
		unserved = fmt.Sprintf("Start a worker whose role is %s.", strings.Join(s.roles, " or "))
	}
	return tester.Advice{
		Unreachable: fmt.Sprintf("Check that it is up, and that %s is right.", s.target.DSNKey()),
		Unmigrated:  unmigrated, Unserved: unserved,
	}
}
