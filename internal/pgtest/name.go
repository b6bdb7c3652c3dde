package pgtest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Name is an address that leads to one server now and to another later, as the
// name of a primary does: connections that are there stay where they are.
type Name struct {
	listener net.Listener
	ended    sync.WaitGroup

	mu    sync.Mutex
	to    string
	conns map[net.Conn]struct{}
}

// NewName makes a name that leads nowhere yet. It ends with the test.
func NewName(t testing.TB) *Name {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &Name{listener: listener, conns: map[net.Conn]struct{}{}}
	n.ended.Go(n.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		n.mu.Lock()
		for conn := range n.conns {
			_ = conn.Close()
		}
		n.mu.Unlock()
		n.ended.Wait()
	})
	return n
}

// Lead lets new connections go where a DSN, in the form of a URL, does, and
// returns that DSN by the name.
func (n *Name) Lead(t testing.TB, dsn string) string {
	t.Helper()
	address, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.to = address.Host
	address.Host = n.listener.Addr().String()
	return address.String()
}

func (n *Name) accept() {
	for {
		near, err := n.listener.Accept()
		if err != nil {
			return
		}
		n.ended.Go(func() { n.relay(near) })
	}
}

func (n *Name) relay(near net.Conn) {
	defer n.close(near)
	n.mu.Lock()
	n.conns[near] = struct{}{}
	to := n.to
	n.mu.Unlock()
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(near, far)
		_ = near.Close() // which ends the other direction
	}()
	_, _ = io.Copy(far, near)
	_ = far.Close()
	<-back
}

func (n *Name) close(conn net.Conn) {
	_ = conn.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, conn)
}
