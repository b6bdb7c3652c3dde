package integration_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/understudy-worker/understudy/integration/internal/container"
)

// What a soak can be told.
const (
	soakDuration = "UNDERSTUDY_TEST_SOAK_DURATION" // as 10m
	soakSeed     = "UNDERSTUDY_TEST_SOAK_SEED"     // of another soak, to have the same faults again
)

// soakRate is how many jobs a second are enqueued in each place.
const soakRate = 60

// Everything that the other tests break one at a time breaks here at random:
// four workers, two servers, and a seed that says what happens next.
func TestASoakOfFaultsLosesNothing(t *testing.T) {
	t.Parallel()
	soak(t, ledgerWorker(t), ledgerWorker(t))
}

// The version before works beside this one, on schemas that this one has migrated.
func TestASoakOfTwoVersionsLosesNothing(t *testing.T) {
	t.Parallel()
	soak(t, ledgerWorker(t), releasedWorker(t))
}

// soak lets everything happen to pods that run the two programs by turns.
func soak(t *testing.T, programs ...string) {
	duration, err := time.ParseDuration(cmp.Or(os.Getenv(soakDuration), "30s"))
	if err != nil {
		t.Fatalf("$%s: %v", soakDuration, err)
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv(soakSeed), strconv.FormatUint(rand.Uint64(), 10)), 10, 64)
	if err != nil {
		t.Fatalf("$%s: %v", soakSeed, err)
	}
	t.Logf("soak for %s; the same faults again: %s=%d", duration, soakSeed, seed)
	th := newTheatre(t, container.StartPostgres(t, nil), container.StartPostgres(t, nil))
	th.migrate(th.preview())
	th.lag = 500 * time.Millisecond
	c := newChaos(th, seed)
	for i, role := range soakRoles {
		c.pods = append(c.pods, th.startProgram(programs[i%len(programs)], fmt.Sprintf("pod-%d", i), role))
	}
	stop := th.produce(soakRate, seed, th.production(), th.preview())
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	th.do(c.run(ctx))
	stop()
	for i, role := range soakRoles {
		th.do(c.pods[i].SetRole(t.Context(), role))
	}
	th.untilDone(th.production())
	th.untilDone(th.preview())
	c.stopRestarting()
	verdict := th.check()
	t.Logf("seed %d, %s\n%s\nenqueued: %d\n%s", seed, duration, c.summary(), th.enqueued(), verdict)
}

// soakRoles are the pods' roles in the beginning and in the end.
var soakRoles = []string{"active", "active", "preview", "preview"}

// enqueued counts the jobs that the servers have acknowledged.
func (th *theatre) enqueued() (count int) {
	for _, pl := range th.places {
		count += len(pl.enqueued)
	}
	return count
}
