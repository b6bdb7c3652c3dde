package wire

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, LeftBehind()...) }

// echo is a wire to a server that says everything back.
func echo(t *testing.T) *Wire {
	t.Helper()
	return wireTo(t, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
}

// wireTo is a wire to a server that treats each connection so.
func wireTo(t *testing.T, serve func(conn net.Conn)) *Wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				serve(conn)
				_ = conn.Close()
			})
		}
	})
	w, err := New(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Close()
		_ = listener.Close()
		conns.Wait()
	})
	return w
}

// caller is one end of a connection over a wire.
type caller struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Reader
}

func call(t *testing.T, w *Wire) *caller {
	t.Helper()
	conn, err := net.Dial("tcp", w.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &caller{t, conn, bufio.NewReader(conn)}
}

// ask says something and waits for it to come back.
func (c *caller) ask(patience time.Duration) (time.Duration, error) {
	c.t.Helper()
	begun := time.Now()
	if err := c.conn.SetDeadline(begun.Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write([]byte("hello\n")); err != nil {
		return 0, err
	}
	_, err := c.lines.ReadString('\n')
	return time.Since(begun), err
}

func (c *caller) answered() time.Duration {
	c.t.Helper()
	took, err := c.ask(10 * time.Second)
	if err != nil {
		c.t.Fatalf("no answer over the wire: %v", err)
	}
	return took
}

// ended waits until the connection is over.
func (c *caller) ended() {
	c.t.Helper()
	if _, err := c.ask(10 * time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("the connection is open: error %v", err)
	}
}

func do(t *testing.T, what func() error) {
	t.Helper()
	if err := what(); err != nil {
		t.Fatal(err)
	}
}

func TestACutEndsConnectionsAndRefusesNewOnes(t *testing.T) {
	t.Parallel()
	w := echo(t)
	c := call(t, w)
	c.answered()
	w.Cut()
	c.ended()
	if conn, err := net.Dial("tcp", w.Address()); err == nil {
		_ = conn.Close()
		t.Error("a new connection came about over a wire that is cut")
	}
	do(t, w.Mend)
	call(t, w).answered()
}

func TestADropEndsConnectionsAndTakesNewOnes(t *testing.T) {
	t.Parallel()
	w := echo(t)
	c := call(t, w)
	c.answered()
	do(t, w.Drop)
	c.ended()
	call(t, w).answered()
}

func TestWhatIsSwallowedLeavesTheConnectionOpen(t *testing.T) {
	t.Parallel()
	w := echo(t)
	c := call(t, w)
	c.answered()
	do(t, w.Swallow)
	for who, silent := range map[string]*caller{"old": c, "new": call(t, w)} {
		if _, err := silent.ask(200 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the %s connection: error %v, want silence", who, err)
		}
	}
	do(t, w.Mend)
	c.ended()
	call(t, w).answered()
}

func TestTheDeafAreHeard(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 1)
	w := wireTo(t, func(conn net.Conn) {
		line, _ := bufio.NewReader(io.TeeReader(conn, conn)).ReadString('\n')
		heard <- line
		_, _ = io.Copy(io.Discard, conn)
	})
	c := call(t, w)
	do(t, w.Deafen)
	if _, err := c.ask(200 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v, want no reply", err)
	}
	if line := <-heard; line != "hello\n" {
		t.Errorf("the server heard %q", line)
	}
	do(t, w.Mend)
	c.ended()
}

func TestADelayedConnectionIsSlowAndGoesOn(t *testing.T) {
	t.Parallel()
	w := echo(t)
	c := call(t, w)
	c.answered()
	do(t, func() error { return w.Delay(100*time.Millisecond, 0) })
	if took := c.answered(); took < 200*time.Millisecond {
		t.Errorf("an answer took %s, want 100ms each way", took)
	}
	do(t, w.Mend)
	c.answered()
}

func TestAWireIsMendedWhateverItSuffered(t *testing.T) {
	t.Parallel()
	w := echo(t)
	do(t, w.Swallow)
	if err := w.Swallow(); err == nil {
		t.Error("a wire swallowed twice over")
	}
	w.Cut()
	do(t, w.Mend)
	call(t, w).answered()
	do(t, func() error { return w.Delay(time.Hour, 0) })
	w.Cut()
	do(t, w.Mend)
	call(t, w).answered()
}
