package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-worker/understudy/internal/pause"
	"github.com/understudy-worker/understudy/store"
)

// How often the lookout looks, and how often it tells the counts.
const (
	lookPause  = 100 * time.Millisecond
	countPause = 3 * time.Second
)

// lookout tells what it sees in the database: who begins to serve which
// schema, who leaves it, and how many jobs are done by whom.
type lookout struct {
	board   *board
	schemas func() []string                          // every one that there may be
	counts  func(production, preview map[string]int) // is told what is done, by version
	*printer

	seen    map[string]string // state by epoch
	counted time.Time
}

// run looks until ctx ends, or until nobody reads what it tells.
func (l *lookout) run(ctx context.Context) error {
	l.seen = map[string]string{}
	l.counted = time.Now()
	for {
		if err := l.look(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := l.failure(); err != nil {
			return err
		}
		if pause.For(ctx, lookPause) != nil {
			return nil
		}
	}
}

func (l *lookout) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dbTimeout)
	defer cancel()
	schemas, err := l.board.existing(ctx, l.schemas())
	if err != nil {
		return err
	}
	for _, schema := range schemas {
		if err := l.epochs(ctx, schema); err != nil {
			return err
		}
	}
	if time.Since(l.counted) < countPause {
		return nil
	}
	l.counted = time.Now()
	return l.count(ctx, schemas)
}

// epochs tells what has changed about the workers of a schema.
func (l *lookout) epochs(ctx context.Context, schema string) error {
	s, err := l.board.store(schema)
	if err != nil {
		return err
	}
	workers, err := s.Workers(ctx, allRows)
	if err != nil {
		return err
	}
	slices.SortFunc(workers, func(a, b store.WorkerRow) int { return a.StartedAt.Compare(b.StartedAt) })
	for _, w := range workers {
		if l.seen[w.ID] == w.State {
			continue
		}
		if text := change(w, l.seen[w.ID] == "", schema); text != "" {
			l.say("%s: %s", w.Version, text)
		}
		l.seen[w.ID] = w.State
	}
	return nil
}

// change says what an epoch's state means that was not so before, "" for
// nothing of interest.
func change(w store.WorkerRow, isNew bool, schema string) string {
	switch {
	case w.State == "lost":
		return fmt.Sprintf("its lease in schema %s ran out: others take its jobs", schema)
	case w.State == "ended" && isNew:
		return fmt.Sprintf("served schema %s as %s for a moment", schema, w.Role)
	case w.State == "ended":
		return fmt.Sprintf("has left schema %s", schema)
	case isNew:
		return fmt.Sprintf("serves schema %s as %s", schema, w.Role)
	}
	return "" // draining: it is over soon
}

// count tells how many jobs are done, and by whom.
func (l *lookout) count(ctx context.Context, schemas []string) error {
	production, err := l.tally(ctx, []string{l.board.production})
	if err != nil {
		return err
	}
	previews := slices.DeleteFunc(schemas, func(s string) bool { return s == l.board.production })
	preview, err := l.tally(ctx, previews)
	if err != nil {
		return err
	}
	l.counts(production.byVersion, preview.byVersion)
	l.mutter("production: %s; preview: %s", production, preview)
	return nil
}

// tally is the sum of some schemas.
type tally struct {
	enqueued, done int
	byVersion      map[string]int // done
}

// String is a tally as it is told: enqueued 12, done 11 (1.0: 7, 2.0: 4).
func (t tally) String() string {
	if t.done == 0 {
		return fmt.Sprintf("enqueued %d, done 0", t.enqueued)
	}
	return fmt.Sprintf("enqueued %d, done %d (%s)", t.enqueued, t.done, counts(t.byVersion))
}

// tally sums schemas up.
func (l *lookout) tally(ctx context.Context, schemas []string) (tally, error) {
	t := tally{byVersion: map[string]int{}}
	for _, schema := range schemas {
		all, err := l.board.claimed(ctx, schema, time.Time{})
		if err != nil {
			return t, err
		}
		enqueued, err := l.board.enqueued(ctx, schema)
		if err != nil {
			return t, err
		}
		t.enqueued += enqueued
		for version, c := range all {
			t.done += c.Done
			t.byVersion[version] += c.Done
		}
	}
	return t, nil
}
