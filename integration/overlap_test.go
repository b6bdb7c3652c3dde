package integration_test

import (
	"context"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/internal/rollout"
)

func TestNoJobIsDoneTwiceWhileBothVersionsAreActive(t *testing.T) {
	t.Parallel()
	inBothLayouts(t, func(s *stage) {
		b := newBlueGreen(s, rollout.Options{ScaleDownDelay: time.Hour, RemoveDelay: 3 * time.Second})
		b.first()
		b.do(b.promote(t.Context()))
		b.overlapped("1.0", "2.0")
		b.active("2.0")
		b.idle("1.0")
		b.deploy("3.0")
		b.inPreview("3.0")
		b.frozen("2.0", "3.0")
	})
}

// overlapped checks that all pods of two versions were active at a time.
func (b *blueGreen) overlapped(old, next string) {
	b.t.Helper()
	for _, o := range b.pods(old) {
		for _, n := range b.pods(next) {
			from, to := n.since(rollout.RoleActive), o.since(rollout.RoleNone)
			if overlap := to.Sub(from); overlap < time.Second {
				b.t.Errorf("%s and %s were both active for %s, want a second at least", o.name, n.name, overlap)
			}
		}
	}
}

// since is when the pod's role was written the last time.
func (p *pod) since(role string) (at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stint := range p.stints {
		if stint.Role == role {
			at = stint.From
		}
	}
	return at
}

// frozen: the controller stops between the labels of a promotion. Both
// versions go on as they are labelled, and one that is started again too.
func (b *blueGreen) frozen(old, next string) {
	b.t.Helper()
	production := b.production()
	b.while(b.promote, func() {
		b.untilRole(next, rollout.RoleActive)
		b.Freeze()
		b.bothWork(old, next)
		for _, version := range []string{old, next} {
			p := b.pods(version)[0]
			p.process().kill()
			before := p.epochs(b.t.Context(), production)
			b.do(p.start())
			b.until(p.name+" is back", func(ctx context.Context) bool {
				return p.epochs(ctx, production) > before && p.serves(ctx, production, rollout.RoleActive)
			})
		}
		b.bothWork(old, next)
		b.Thaw()
	})
	b.active(next)
	b.idle(old)
}

// bothWork waits until all pods of both versions work in production.
func (b *blueGreen) bothWork(old, next string) {
	b.t.Helper()
	pl := b.production()
	for _, version := range []string{old, next} {
		for _, p := range b.pods(version) {
			b.untilServes(p, pl, rollout.RoleActive)
		}
	}
	var now time.Time
	b.do(pl.pool.QueryRow(b.t.Context(), "SELECT clock_timestamp()").Scan(&now))
	b.untilSQL(pl, "both versions have claimed and completed jobs",
		"SELECT count(DISTINCT worker_version) = 2 FROM {schema}.jobs WHERE state = 'completed' AND attempted_at > $1", now)
}

func TestJobsWaitWhileNoVersionIsActive(t *testing.T) {
	t.Parallel()
	inBothLayouts(t, func(s *stage) {
		const gap = 3 * time.Second
		b := newBlueGreen(s, rollout.Options{ScaleDownDelay: time.Hour, LabelDelay: gap, RemoveDelay: -gap})
		b.first()
		var waits string
		b.while(b.promote, func() {
			b.untilRole("1.0", rollout.RoleNone)
			b.Freeze() // the gap lasts until it has been seen
			b.nobody(b.production())
			waits = b.batch(b.production())
			b.Thaw()
		})
		b.doneBy(b.production(), waits, "2.0")
		b.active("2.0")
		b.idle("1.0")
	})
}

func TestAPodThatIsKilledDuringAPromotionComesBackWithTheLabelOfThen(t *testing.T) {
	t.Parallel()
	inBothLayouts(t, func(s *stage) {
		s.lease = lease
		b := newBlueGreen(s, rollout.Options{ScaleDownDelay: time.Hour})
		b.first()
		old, next := b.pods("1.0")[0], b.pods("2.0")[0]
		b.analysis = func() {
			for _, p := range []*pod{old, next} {
				b.until(p.name+" runs something", func(context.Context) bool { return p.process().busy() })
				p.process().kill()
			}
		}
		b.do(b.promote(t.Context()))
		b.do(old.start())
		b.do(next.start())
		b.active("2.0")
		b.idle("1.0")
		for _, p := range []*pod{old, next} {
			if roles := p.roles(); len(roles) != 2 {
				t.Errorf("%s has had the roles %q, want two", p.name, roles)
			}
		}
	})
}
