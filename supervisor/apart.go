package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/reload"
)

const (
	// otherTimeout bounds how long a target waits for another to say where it is:
	// a database that is down must not hold up the one that is needed.
	otherTimeout = time.Second
	// compareInterval is how often a target that is served is compared anew: DSNs
	// change, and so does what a name leads to.
	compareInterval = 10 * time.Second
	// sightingLasts is how long it counts what another target said of itself.
	sightingLasts = time.Minute
)

// SamePlaceError says that two targets are one server, database and schema. The
// one that Options.Targets names first is served, and the other never touched.
type SamePlaceError struct {
	Target, Schema string
	Other          string // the target that is the same place
	Refused        bool   // Target is not served, since Other comes first
	// Unsure says that Other is on a copy of Target's server, or on that server: it
	// has not answered since.
	Unsure bool
}

// Error says what to do.
func (e *SamePlaceError) Error() string {
	text := fmt.Sprintf("targets %q and %q are one place: the same server, database and schema %q", e.Target, e.Other, e.Schema)
	if e.Unsure {
		text = fmt.Sprintf("targets %q and %q may be one place, database and schema %q of one server or of its copy: %[2]q does not answer", e.Target, e.Other, e.Schema)
	}
	left := e.Other
	if e.Refused {
		left = e.Target
	}
	return fmt.Sprintf("%s: %q is not served; give each a schema, a database or a server of its own", text, left)
}

// apart compares a target that is open with the others, and returns a
// *SamePlaceError where one of them is the same place. Targets that do not answer
// in time are compared when they do.
func (r *run) apart(ctx context.Context, o connected) error {
	r.places.note(o.target, o.where)
	if r.Targets == nil {
		return nil
	}
	all := r.Targets()
	r.askAll(ctx, o.target.Name, all)
	own := slices.IndexFunc(all, func(t reload.Target) bool { return t.Name == o.target.Name })
	for i, other := range all {
		if i == own {
			continue
		}
		if isSame, unsure := r.sameAs(ctx, o, other); isSame {
			return &SamePlaceError{Target: o.target.Name, Schema: o.target.Schema, Other: other.Name, Refused: i < own, Unsure: unsure}
		}
	}
	return nil
}

// connected is a target that is open, and where it is.
type connected struct {
	target reload.Target
	pool   *pgxpool.Pool
	where  identity
}

// askAll asks the targets of which it is not known where they are now.
func (r *run) askAll(ctx context.Context, but string, all []reload.Target) {
	var asking sync.WaitGroup
	for _, other := range all {
		if other.Name != but && other.DSN != "" && !r.places.fresh(other) {
			asking.Go(func() { _, _ = r.ask(ctx, other) }) // what it said before counts if it does not answer
		}
	}
	asking.Wait()
}

// ask finds out where another target is, if it answers.
func (r *run) ask(ctx context.Context, other reload.Target) (identity, error) {
	ctx, cancel := context.WithTimeout(ctx, otherTimeout)
	defer cancel()
	p, err := open(ctx, other, 0, nil, false, new(patience))
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			r.Log.Debug("another target does not answer", "target", other.Name, "err", err)
		}
		return identity{}, err
	}
	p.pool.Close()
	r.places.note(other, p.where)
	return p.where, nil
}

// sameAs says whether another target is the same place, and whether that could
// not be found out for certain.
func (r *run) sameAs(ctx context.Context, o connected, other reload.Target) (isSame, unsure bool) {
	where := o.where
	there, known := r.places.of(other)
	if !known {
		return false, false
	}
	if like := where.compare(there); like != unclear {
		return like == same, false
	}
	if r.places.told(where, there) {
		return false, false
	}
	where, err := identify(ctx, o.pool, o.target.Schema)
	if err == nil {
		there, err = r.ask(ctx, other)
	}
	if err != nil {
		return true, true
	}
	if where.compare(there) == same {
		return true, false
	}
	r.places.tell(where, there)
	return false, false
}

// places remembers where targets are, by their configuration.
type places struct {
	mu    sync.Mutex
	known map[reload.Target]sighting
	apart map[[2]identity]bool // pairs that were found to be two servers
}

// sighting is what a target said of itself.
type sighting struct {
	where identity
	at    time.Time
}

func (k *places) note(target reload.Target, where identity) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = map[reload.Target]sighting{}
	}
	for old := range k.known { // its configuration of before counts no more
		if old.Name == target.Name {
			delete(k.known, old)
		}
	}
	k.known[target] = sighting{where, time.Now()}
}

// of is where the target was when it last answered.
func (k *places) of(target reload.Target) (where identity, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen, known := k.known[target]
	return seen.where, known
}

func (k *places) fresh(target reload.Target) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen, known := k.known[target]
	return known && time.Since(seen.at) < sightingLasts
}

func (k *places) told(a, b identity) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.apart[[2]identity{a, b}]
}

func (k *places) tell(a, b identity) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.apart = map[[2]identity]bool{{a, b}: true, {b, a}: true} // of targets there are few: the last pair will do
}

// compared is what comparing a place that is served came to.
type compared struct {
	place *place
	found *SamePlaceError // nil for none
}

// keepComparing compares a place with the other targets for as long as ctx lasts.
func (r *run) keepComparing(ctx context.Context, p *place, target reload.Target) {
	for wait(ctx, compareInterval) {
		found, err := r.compareAgain(ctx, connected{target: target, pool: p.pool})
		if err != nil {
			continue // somebody does not answer, which says nothing new
		}
		select {
		case r.compared <- compared{p, found}:
		case <-ctx.Done():
		}
	}
}

// compareAgain compares a target that is served; nil for no other at its place.
func (r *run) compareAgain(ctx context.Context, o connected) (found *SamePlaceError, err error) {
	ctx, cancel := context.WithTimeout(ctx, compareInterval)
	defer cancel()
	if o.where, err = identify(ctx, o.pool, o.target.Schema); err != nil {
		return nil, err
	}
	err = r.apart(ctx, o)
	if errors.As(err, &found) && !found.Unsure {
		err = nil
	}
	return found, err
}
