package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/rollout"
	"github.com/understudy-worker/understudy/store"
)

// settle waits until nothing is left to do in production, and in the preview
// that is served.
func (s *story) settle(ctx context.Context) error {
	s.say("> quit")
	schemas := []string{s.board.production}
	if preview := s.trickle.leads(); preview != "" {
		schemas = append(schemas, preview)
	}
	return s.await(ctx, func(ctx context.Context) (string, error) {
		for _, schema := range schemas {
			open, err := s.board.unfinished(ctx, schema)
			if err != nil || open > 0 {
				return fmt.Sprintf("%d jobs of schema %s are not finished", open, schema), err
			}
		}
		return "", nil
	})
}

// judge reads everything that the schemas say and checks it against what the
// demo did.
func (s *story) judge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*dbTimeout)
	defer cancel()
	ledgers, err := s.ledgers(ctx)
	if err != nil {
		return err
	}
	broken := s.recorder.record(ledgers).check()
	for _, promise := range broken {
		s.say("BROKEN: %s", promise)
	}
	if len(broken) > 0 {
		return errors.New(broken[0])
	}
	for _, l := range ledgers {
		s.say("ok: schema %s: %s", l.schema, l.summary())
	}
	return nil
}

// ledgers read all schemas.
func (s *story) ledgers(ctx context.Context) ([]ledger, error) {
	schemas, err := s.board.existing(ctx, s.schemas())
	if err != nil {
		return nil, err
	}
	var all []ledger
	for _, schema := range schemas {
		l := ledger{
			schema: schema, role: rollout.RoleActive, hash: strings.TrimPrefix(schema, s.board.previews),
			enqueued: s.trickle.enqueued(schema), attended: schema == s.board.production || schema == s.trickle.leads(),
		}
		if schema == s.board.production {
			l.hash = ""
		} else {
			l.role = rollout.RolePreview
		}
		if err := l.read(ctx, s.board); err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// read reads the ledger's schema.
func (l *ledger) read(ctx context.Context, b *board) error {
	s, err := b.store(l.schema)
	if err != nil {
		return err
	}
	if l.jobs, err = s.Jobs(ctx, store.Filter{Limit: allRows}); err != nil {
		return err
	}
	l.epochs, err = s.Workers(ctx, allRows)
	return err
}

// summary says what a ledger in which all is well came to.
func (l *ledger) summary() string {
	if len(l.jobs) == 0 {
		return "no jobs"
	}
	byVersion := map[string]int{}
	waiting, rescued, visitors := 0, 0, 0
	for _, job := range l.jobs {
		if job.Queue == visitorQueue {
			visitors++
			continue
		}
		if job.State != understudy.StateCompleted {
			waiting++
			continue
		}
		byVersion[job.WorkerVersion]++
		if job.Losses > 0 {
			rescued++
		}
	}
	text := fmt.Sprintf("%d jobs, each completed once, by a version that had the role (%s)", len(l.jobs)-waiting-visitors, counts(byVersion))
	if rescued > 0 {
		text += fmt.Sprintf("; %d of them rescued", rescued)
	}
	if waiting > 0 {
		text += fmt.Sprintf("; %d wait, since nobody serves it any more", waiting)
	}
	if visitors > 0 {
		text += fmt.Sprintf("; and %d from the tester's page", visitors)
	}
	return text
}

// counts lists counts by version, as: 1.0: 7, 2.0: 4.
func counts(byVersion map[string]int) string {
	byLength := func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) } // 9.0 before 10.0
	var parts []string
	for _, version := range slices.SortedFunc(maps.Keys(byVersion), byLength) {
		parts = append(parts, fmt.Sprintf("%s: %d", version, byVersion[version]))
	}
	return strings.Join(parts, ", ")
}
