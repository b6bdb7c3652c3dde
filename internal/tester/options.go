package tester

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/store"
)

// Options are what a tester needs.
type Options struct {
	// Sides are what stands side by side: production, and preview.
	Sides [2]Side
	// Kinds are those that the page proposes.
	Kinds []string
	// Queue is the queue that jobs are enqueued into, "" for the default one.
	Queue string
	// Stage is a rollout to show above the sides and to drive; nil without one.
	Stage Stage
	// Version is the version that the tester reports.
	Version string
	// Token is the token that all but health and version ask for: see
	// web.Options. nil means that none is asked for.
	Token func() (string, error)
	// Hosts are further names that lead to the page: see web.Options.
	Hosts []string
	// ReadOnly refuses every request that would change something.
	ReadOnly bool
	// Timeouts bound how long a slow side is waited for.
	Timeouts Timeouts
	Log      *slog.Logger
}

// Timeouts bound how long a slow side is waited for. A zero means the usual time.
type Timeouts struct {
	// Look is how long a side may take to be looked at, 2 s; a request for the
	// status waits twice that.
	Look time.Duration
	// Page and Frame are how long a page that is asked for, 700 ms, and one that is
	// open, 300 ms, wait for a side before they show what it was last.
	Page, Frame time.Duration
}

func (t Timeouts) orUsual() Timeouts {
	return Timeouts{
		Look:  cmp.Or(t.Look, 2*time.Second),
		Page:  cmp.Or(t.Page, 700*time.Millisecond),
		Frame: cmp.Or(t.Frame, 300*time.Millisecond),
	}
}

// Side is a place that jobs go to, which may change while the tester runs.
type Side struct {
	// Name is how requests call it: production, preview.
	Name string
	// Title stands above it.
	Title string
	// Tone is its colour: web.Blue or web.Green.
	Tone string
	// Find says where it is now. It may be called from several goroutines, and
	// returns when ctx ends. Where there is no store, its error says why: a
	// *Trouble, or what Postgres said. The rest of the place is shown all the same.
	Find func(ctx context.Context) (Place, error)
	// Advice is what to do where something is missing.
	Advice Advice
}

// Place is where a side's jobs are. It says no password.
type Place struct {
	Store    *store.Store `json:"-"`
	Server   string       `json:"server"` // host:port, or the directory of a socket
	Database string       `json:"database"`
	Schema   string       `json:"schema"`
}

// At is a schema of the database that the pool leads to. It does not connect.
// Without a name of a schema it is the database alone.
func At(pool *pgxpool.Pool, schema string) (Place, error) {
	config := pool.Config().ConnConfig
	place := Place{Server: servers(config), Database: config.Database, Schema: schema}
	if schema == "" {
		return place, nil
	}
	var err error
	place.Store, err = store.New(pool, schema)
	return place, err
}

// servers are the servers that a DSN names: there may be several to try.
func servers(config *pgx.ConnConfig) string {
	all := []string{address(config.Host, config.Port)}
	for _, next := range config.Fallbacks { // without TLS, the same one again
		if at := address(next.Host, next.Port); !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	return strings.Join(all, ", ")
}

func address(host string, port uint16) string {
	if strings.HasPrefix(host, "/") {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// Advice is what to do where something is missing, each a sentence.
type Advice struct {
	Unreachable string // the server does not answer, or does not let the login in
	Unmigrated  string // the schema is not there, or lacks what migrations bring
	Unserved    string // no worker is live
}

// Trouble is why a side cannot be used, and what to do: in words for people,
// without a password.
type Trouble struct {
	What string `json:"what"`
	Do   string `json:"do"`
	// Usual says that it is no more than how things are.
	Usual bool `json:"-"`
}

func (t *Trouble) Error() string {
	if t.Do == "" {
		return t.What
	}
	return t.What + " " + t.Do
}

func (o Options) check() error {
	for i, side := range o.Sides {
		switch {
		case side.Name == "":
			return fmt.Errorf("tester: Options.Sides[%d].Name is empty", i)
		case side.Find == nil:
			return fmt.Errorf("tester: Options.Sides[%d].Find is nil", i)
		case i > 0 && side.Name == o.Sides[0].Name:
			return fmt.Errorf("tester: Options.Sides are both called %q", side.Name)
		}
	}
	if o.Log == nil {
		return errors.New("tester: Options.Log is nil")
	}
	return nil
}
