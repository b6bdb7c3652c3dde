package integration_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/understudy-worker/understudy/internal/rollout"
	"github.com/understudy-worker/understudy/store"
)

// blueGreen is a blue-green rollout on a stage.
type blueGreen struct {
	*stage
	*rollout.BlueGreen
	analysis func() // of the next promotions, nil for none
	analyses int    // so far
}

// newBlueGreen is a rollout without a revision.
func newBlueGreen(s *stage, o rollout.Options) *blueGreen {
	b := &blueGreen{stage: s}
	o.Stage, o.Replicas, o.PostPromotion = s, replicas, b.analyse
	b.BlueGreen = rollout.NewBlueGreen(o)
	s.t.Cleanup(func() {
		s.steps.Wait() // one goroutine at a time is at the rollout
		b.Close()
	})
	return b
}

// analyse is the analysis after a promotion.
func (b *blueGreen) analyse(context.Context) error {
	b.analyses++
	if b.analysis != nil {
		b.analysis()
	}
	return nil
}

// revision is the revision of a version.
func revision(version string) *rollout.Revision {
	return &rollout.Revision{Version: version, Hash: "5f8d" + strings.ReplaceAll(version, ".", "")}
}

func (b *blueGreen) deploy(version string) {
	b.t.Helper()
	b.do(b.Deploy(b.t.Context(), revision(version)))
}

func (b *blueGreen) promote(ctx context.Context) error { _, _, err := b.Promote(ctx); return err }
func (b *blueGreen) undo(ctx context.Context) error    { _, _, err := b.Undo(ctx); return err }

// first deploys the first version and one that waits in preview.
func (b *blueGreen) first() {
	b.t.Helper()
	b.deploy("1.0")
	b.active("1.0")
	b.deploy("2.0")
	b.inPreview("2.0")
	b.active("1.0")
	b.had("1.0", rollout.RoleActive) // from birth
}

// active waits until a version works in production, alone.
func (s *stage) active(version string) {
	s.t.Helper()
	s.works(s.production(), version, rollout.RoleActive, replicas)
}

// inPreview waits until a version works in preview, alone.
func (s *stage) inPreview(version string) {
	s.t.Helper()
	s.works(s.preview(), version, rollout.RolePreview, replicas)
}

// works waits until so many pods of a version serve a place in a role, and
// nobody else does; then a batch of jobs is all theirs.
func (s *stage) works(pl *place, version, role string, pods int) {
	s.t.Helper()
	s.untilSQL(pl, fmt.Sprintf("%d pods of version %s serve %s as %s, and no other", pods, version, pl.schema, role),
		`SELECT count(*) = $1 AND bool_and(version = $2 AND role = $3) FROM {schema}.workers WHERE state = 'serving' AND lease_until > now()`,
		pods, version, role)
	s.doneBy(pl, s.batch(pl), version)
}

// batch enqueues some jobs and returns what they are called.
func (s *stage) batch(pl *place) string {
	s.t.Helper()
	name := fmt.Sprintf("%s-%d", pl.schema, time.Now().UnixNano())
	jobs := make([]store.NewJob, batchSize)
	for i := range jobs {
		jobs[i] = store.NewJob{Kind: "effect", Metadata: map[string]string{"batch": name}}
	}
	s.do(pl.enqueue(s.t.Context(), jobs...))
	return name
}

const batchSize = 20

// doneBy waits until a batch is finished, and checks by whom: the flow cancels
// jobs, and may cancel some of these.
func (s *stage) doneBy(pl *place, batch, version string) {
	s.t.Helper()
	const of = " FROM {schema}.jobs WHERE metadata->>'batch' = $1"
	s.untilSQL(pl, "batch "+batch+" is finished", "SELECT count(*) = $2"+of+" AND finalized_at IS NOT NULL", batch, batchSize)
	var by []string
	s.do(pl.pool.QueryRow(s.t.Context(), pl.sql("SELECT array_agg(DISTINCT worker_version)"+of+" AND state = 'completed'"), batch).Scan(&by))
	if !slices.Equal(by, []string{version}) {
		s.t.Errorf("a batch in %s was worked by versions %v, want %s alone", pl.schema, by, version)
	}
}

// nobody waits until no pod serves a place.
func (s *stage) nobody(pl *place) {
	s.t.Helper()
	s.untilSQL(pl, "nobody serves "+pl.schema, "SELECT NOT EXISTS (SELECT FROM {schema}.workers WHERE state = 'serving' AND lease_until > now())")
}

// idle waits until the pods of a version have no role and do nothing; they
// are ready all the same, or no fast rollback could begin.
func (s *stage) idle(version string) {
	s.t.Helper()
	for _, p := range s.pods(version) {
		p.untilIdle()
		if role, ready := p.role(), (part{p}).Ready(s.t.Context()); role != rollout.RoleNone || !ready {
			s.t.Errorf("%s is idle with role %q and ready is %v", p.name, role, ready)
		}
	}
}

// ended waits until the pods of a version have ended after their SIGTERM.
func (s *stage) ended(version string) {
	s.t.Helper()
	for _, p := range s.pods(version) {
		if code, err := p.process().exitCode(); err != nil || code != 0 {
			s.t.Errorf("%s: exit code %d, error %v", p.name, code, err)
		}
	}
}

// had checks which roles the pods of a version have had.
func (s *stage) had(version string, roles ...string) {
	s.t.Helper()
	for _, p := range s.pods(version) {
		if got := p.roles(); !slices.Equal(got, roles) {
			s.t.Errorf("%s has had the roles %q, want %q", p.name, got, roles)
		}
	}
}

// untilRole waits until the labels of all pods of a version say a role.
func (s *stage) untilRole(version, role string) {
	s.t.Helper()
	for _, p := range s.pods(version) {
		s.until(fmt.Sprintf("the label of %s is %q", p.name, role), func(context.Context) bool { return p.role() == role })
	}
}
