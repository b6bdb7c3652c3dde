package store_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// wire is what lies between the server and the connections that claim. A test
// can hold up replies on it, or lose them.
type wire struct {
	// reply is called when a reply has arrived, before the client reads it. An
	// error breaks the connection.
	reply atomic.Pointer[func() error]
}

var errReplyLost = errors.New("the reply was lost on the wire")

// wired is the fixture's schema over a pool whose claims go over the wire.
func (f *fixture) wired(t testing.TB) (*fixture, *wire) {
	t.Helper()
	w := &wire{}
	config := f.pool.Config()
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &wiredConn{Conn: conn, wire: w}, nil
	}
	return f.withPool(t, config), w
}

type wiredConn struct {
	net.Conn
	wire   *wire
	claims atomic.Bool
}

// Write looks for the startup message, which says what the connection is for.
func (c *wiredConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("application_name\x00understudy claims\x00")) {
		c.claims.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *wiredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if reply := c.wire.reply.Load(); n > 0 && reply != nil && c.claims.Load() {
		if lost := (*reply)(); lost != nil {
			_ = c.Conn.Close()
			return 0, lost
		}
	}
	return n, err
}

func (w *wire) onReply(do func() error) { w.reply.Store(&do) }

func (w *wire) restore() { w.reply.Store(nil) }

func TestAClaimWhoseReplyIsLostIsReleasedUncharged(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	g, w := f.wired(t)
	q := g.epoch(t)
	ids := g.enqueue(t, store.NewJob{Kind: "b"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	held(t, q, ids[:1], "b") // connects and prepares; and is held by a claim that is known

	w.onReply(func() error { return errReplyLost })
	if jobs, _, err := q.Claim(t.Context(), request("a")); !errors.Is(err, errReplyLost) || jobs != nil {
		t.Fatalf("claimed %v, error %v", idsOf(jobs), err)
	}
	w.restore()
	eventually(t, "the server has committed the claim", func() bool { return f.state(t, ids[1]) == "running" })
	if _, err := f.Cancel(t.Context(), ids[3]); err != nil { // is not to run a second time
		t.Fatal(err)
	}

	found, err := q.Reconcile(t.Context())
	if err != nil || found.Reclaimed != 3 {
		t.Fatalf("reconciled %+v, error %v", found, err)
	}
	for i, want := range []string{"running", "available", "available", "cancelled"} {
		if got := f.job(t, ids[i]); string(got.State) != want || got.Attempt != map[string]int{"running": 1}[want] || len(got.Attempts) != 0 {
			t.Errorf("job %d is %+v, want %s", i, got, want)
		}
	}
	again := held(t, q, ids[1:3], "a")
	if again[0].Attempt != 1 || again[0].Claim.Requeues != 1 {
		t.Errorf("claimed again: %+v", again[0])
	}
	if found, err = q.Reconcile(t.Context()); err != nil || found.Reclaimed != 0 {
		t.Errorf("reconciled again: %+v, error %v", found, err)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.claims"); n != 2 {
		t.Errorf("%d claims, want 2", n)
	}
}

func TestAClaimThatIsUnderWayIsNotReleased(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	g, w := f.wired(t)
	q := g.epoch(t)
	ids := g.enqueue(t, store.NewJob{Kind: "b"}, store.NewJob{Kind: "a"})
	held(t, q, ids[:1], "b")

	release := make(chan struct{})
	w.onReply(func() error { <-release; return nil })
	claimed := make(chan []int64)
	go func() {
		jobs, _, err := q.Claim(t.Context(), request("a"))
		if err != nil {
			t.Error(err)
		}
		claimed <- idsOf(jobs)
	}()
	eventually(t, "the server has committed the claim", func() bool { return f.state(t, ids[1]) == "running" })
	found, err := q.Reconcile(t.Context())
	if err != nil || found.Reclaimed != 0 {
		t.Errorf("reconciled %+v, error %v", found, err)
	}
	close(release)
	if got := <-claimed; len(got) != 1 || f.state(t, ids[1]) != "running" {
		t.Errorf("claimed %v, which is %s", got, f.state(t, ids[1]))
	}
}

func TestAnEndReturnsWhatTheEpochHolds(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	g, w := f.wired(t)
	q := g.epoch(t)
	ids := g.enqueue(t, store.NewJob{Kind: "b"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "b"})
	jobs := held(t, q, []int64{ids[0], ids[2]}, "b")
	completed(t, q, jobs[1])
	w.onReply(func() error { return errReplyLost })
	if _, _, err := q.Claim(t.Context(), request("a")); err == nil {
		t.Fatal("the reply was not lost")
	}
	w.restore()
	eventually(t, "the server has committed the claim", func() bool { return f.state(t, ids[1]) == "running" })
	if err := q.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids[:2] {
		if row := f.job(t, id); row.State != "available" || row.Attempt != 0 || row.Losses != 0 {
			t.Errorf("after the end, job %d is %+v", id, row)
		}
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.claims"); n != 0 {
		t.Errorf("%d claims are left", n)
	}
	if state := get[string](t, f, "SELECT state FROM {schema}.workers"); state != "ended" {
		t.Errorf("the epoch is %s", state)
	}
	if done := record(t, q, understudy.Outcome{Job: jobs[0], Verdict: understudy.Completed}); len(done.Fenced) != 1 {
		t.Errorf("recorded after the end: %+v", done)
	}
}
