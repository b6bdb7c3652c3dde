package integration_test

import (
	"slices"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/internal/rollout"
)

func TestEveryRevisionHasAPreviewOfItsOwnWhereTheSchemaIsNamedAfterIt(t *testing.T) {
	t.Parallel()
	th := onOneServer(t)
	s := newStage(th, previewOfRevision)
	two, three := th.previewOf(revision("2.0")), th.previewOf(revision("3.0"))
	s.produce(8, th.production(), two, three)
	b := newBlueGreen(s, rollout.Options{ScaleDownDelay: time.Hour})
	b.deploy("1.0")
	s.active("1.0")
	b.deploy("2.0")
	s.works(two, "2.0", rollout.RolePreview, replicas)
	b.deploy("3.0")
	s.works(three, "3.0", rollout.RolePreview, replicas)
	s.idle("2.0")
	s.nobody(two)
	s.active("1.0")
	b.do(b.promote(t.Context()))
	s.active("3.0")
	s.nobody(three)
	s.servedBy(two, "2.0")
	s.servedBy(three, "3.0")
	s.over()
}

// previewOfRevision is the flag that gives every revision a preview of its own.
const previewOfRevision = "--targets.preview.schema=preview_{rollouts-pod-template-hash}"

// previewOf is the place of a revision whose preview schema is named after it.
func (th *theatre) previewOf(r *rollout.Revision) *place {
	th.t.Helper()
	preview := th.preview()
	pl := newPlaceIn(th.t, preview.target, preview.schema+"_"+r.Hash, preview.server, preview.database)
	th.more = append(th.more, pl)
	return pl
}

// servedBy checks that a place was never served but by one version.
func (s *stage) servedBy(pl *place, version string) {
	s.t.Helper()
	var by []string
	s.do(pl.pool.QueryRow(s.t.Context(), pl.sql(`SELECT array_agg(DISTINCT version) FROM {schema}.workers`)).Scan(&by))
	if !slices.Equal(by, []string{version}) {
		s.t.Errorf("%s was served by versions %v, want %s alone", pl.schema, by, version)
	}
}
