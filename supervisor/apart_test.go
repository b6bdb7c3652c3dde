package supervisor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/supervisor"
)

// both are production and a preview, in the order in which one of them is served
// where they are one place.
type both struct {
	now atomic.Pointer[[]reload.Target]
}

func (b *both) set(production, preview reload.Snapshot) {
	b.now.Store(&[]reload.Target{production.Target, preview.Target})
}

func (b *both) options(o *supervisor.Options) {
	o.Targets = func() []reload.Target { return slices.Clone(*b.now.Load()) }
}

// twins are two targets that are one place, by other DSNs.
func twins(t *testing.T) (active, preview reload.Snapshot) {
	active = snapshot("active", "production", pgtest.DSN(t))
	preview = snapshot("preview", "preview", named(pgtest.DSN(t), "another"))
	preview.Target.Schema = active.Target.Schema
	return active, preview
}

const onePlace = "are one place: the same server, database and schema"

func (s *stage) refused() {
	s.t.Helper()
	until(s.t, "the target is refused", func() bool {
		now := s.sup.Status()
		return now.Refused && strings.Contains(now.Problem, onePlace) && now.Phase == understudy.PhaseOpening
	})
}

func TestWhereTwoTargetsAreOnePlaceTheActivePodServesOnAndSaysSo(t *testing.T) {
	t.Parallel()
	active, preview := twins(t)
	var b both
	b.set(active, preview)
	s := perform(t, untilDone, b.options)
	s.want(active)
	s.serving("active", "production")
	if now := s.sup.Status(); now.Refused || !strings.Contains(now.Problem, onePlace) || !strings.Contains(now.Problem, `"preview" is not served`) {
		t.Errorf("status %+v, want that the preview is not served", now)
	}
	// The role that leads to the second target comes and goes.
	s.want(preview)
	s.refused()
	s.want(active)
	s.serving("active", "production")
	if got := s.history(); !slices.Equal(got, []string{"begin active production", "end active production", "begin active production"}) {
		t.Errorf("epochs were %v", got)
	}
}

func TestAPreviewAtProductionsPlaceIsNeitherPreparedNorServedUntilItIsElsewhere(t *testing.T) {
	t.Parallel()
	active, preview := twins(t)
	var b both
	b.set(active, preview)
	var prepared atomic.Int64
	s := perform(t, untilDone, b.options, func(o *supervisor.Options) {
		o.Prepare = func(context.Context, *pgxpool.Pool, reload.Target) error {
			prepared.Add(1)
			return nil
		}
	})
	s.want(preview)
	s.refused()
	if got := s.history(); len(got) != 0 || prepared.Load() != 0 {
		t.Errorf("epochs were %v, and it was prepared %d times", got, prepared.Load())
	}
	preview.Target.Schema = "elsewhere"
	b.set(active, preview)
	s.want(preview)
	s.serving("preview", "preview")
	if now := s.sup.Status(); now.Refused || now.Problem != "" {
		t.Errorf("status %+v, want nothing wrong", now)
	}
}

func TestAPreviewThatIsServedEndsWhenProductionComesToItsPlace(t *testing.T) {
	t.Parallel()
	active, preview := twins(t)
	elsewhere := active
	elsewhere.Target.Schema = "elsewhere"
	var b both
	b.set(elsewhere, preview)
	s := perform(t, untilDone, b.options)
	s.want(preview)
	s.serving("preview", "preview")
	b.set(active, preview)
	s.refused()
	b.set(elsewhere, preview)
	s.serving("preview", "preview")
}

func TestTheActivePodSaysSoWhenAPreviewComesToItsPlaceAndWhenItHasGone(t *testing.T) {
	t.Parallel()
	active, preview := twins(t)
	elsewhere := preview
	elsewhere.Target.Schema = "elsewhere"
	var b both
	b.set(active, elsewhere)
	s := perform(t, untilDone, b.options)
	s.want(active)
	s.serving("active", "production")
	b.set(active, preview)
	until(t, "it says so", func() bool { return strings.Contains(s.sup.Status().Problem, onePlace) })
	b.set(active, elsewhere)
	until(t, "it is well", func() bool { return s.sup.Status().Problem == "" })
	if got := s.history(); !slices.Equal(got, []string{"begin active production"}) {
		t.Errorf("epochs were %v, want one that goes on", got)
	}
}

// promote makes a standby a server of its own: with all that identifies its
// primary in its files, as of a snapshot of that one's disk.
func promote(t *testing.T, dsn string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var done bool
	if err := conn.QueryRow(t.Context(), "SELECT pg_promote()").Scan(&done); err != nil || !done {
		t.Fatalf("promoted %v, %v", done, err)
	}
}

func TestACopyOfProductionsServerIsAPlaceOfItsOwn(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	copied := pgtest.Replica(t, server).DSN("postgres")
	promote(t, copied)
	active, preview := snapshot("active", "production", server.DSN("postgres")), snapshot("preview", "preview", copied)
	preview.Target.Schema = active.Target.Schema
	var b both
	b.set(active, preview)
	s := perform(t, untilDone, b.options)
	for _, wanted := range []reload.Snapshot{active, preview} {
		s.want(wanted)
		s.serving(wanted.Role, wanted.Target.Name)
		if now := s.sup.Status(); now.Problem != "" {
			t.Errorf("status %+v, want nothing wrong", now)
		}
	}
	// Production's server restarts, so that it is not what it was when it was last
	// asked: the preview is still another, and a twin of production still is one.
	if err := server.Restart(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	s.want(active)
	s.serving("active", "production")
	s.want(preview)
	s.serving("preview", "preview")
	twin := preview
	twin.Target.DSN = reload.Secret(named(server.DSN("postgres"), "twin"))
	b.set(active, twin)
	s.want(twin)
	s.refused()
}

func TestAServerThatRestartsBetweenTwoLooksIsOnePlace(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	active, preview := snapshot("active", "production", server.DSN("postgres")), snapshot("preview", "preview", named(server.DSN("postgres"), "another"))
	preview.Target.Schema = active.Target.Schema
	var b both
	elsewhere := preview
	elsewhere.Target.Schema = "elsewhere"
	b.set(active, elsewhere)
	s := perform(t, untilDone, b.options)
	s.want(active)
	s.serving("active", "production") // it has seen where production is
	s.want(reload.Snapshot{})
	s.phase(understudy.PhaseIdle)
	if err := server.Restart(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	b.set(active, preview)
	s.want(preview)
	s.refused()
}

func TestWhatASamePlaceErrorSaysIsWhatIsServed(t *testing.T) {
	t.Parallel()
	var err error = &supervisor.SamePlaceError{Target: "preview", Schema: "production", Other: "production", Refused: true}
	if want := `"preview" is not served`; !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	err = &supervisor.SamePlaceError{Target: "production", Schema: "production", Other: "preview", Unsure: true}
	if want := `may be one place`; !strings.Contains(err.Error(), want) || errors.Unwrap(err) != nil {
		t.Errorf("%v, want %s", err, want)
	}
}
