// Package wire is the network between a worker and its server: it can be cut,
// slowed down, and left open with nobody at the other end. It is Toxiproxy, in
// this process.
package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// LeftBehind are the goroutines that Toxiproxy leaves when a connection ends with
// something on the way (v2.12.0, toxics/latency.go and toxics/noop.go: they send to
// a reader that is gone). For tests that look for such.
func LeftBehind() []goleak.Option {
	const toxics = "github.com/Shopify/toxiproxy/v2/toxics."
	return []goleak.Option{
		goleak.IgnoreTopFunction(toxics + "(*LatencyToxic).Pipe"),
		goleak.IgnoreTopFunction(toxics + "(*NoopToxic).Pipe"),
	}
}

// Wire leads from an address of this machine to a server's. It is safe for
// concurrent use.
type Wire struct {
	address string

	mu    sync.Mutex
	proxy *toxiproxy.Proxy
	slow  bool
}

// New lays a wire to an address. Close it.
func New(to string) (*Wire, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	w := &Wire{proxy: toxiproxy.NewProxy(server, "wire", "127.0.0.1:0", to)}
	if err := w.proxy.Start(); err != nil {
		return nil, fmt.Errorf("lay a wire to %s: %w", to, err)
	}
	w.address = w.proxy.Listen
	return w, nil
}

// Address is the near end of the wire, the same all its life.
func (w *Wire) Address() string { return w.address }

// Cut ends every connection, and lets no new one come about.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.proxy.Stop()
}

// Drop ends every connection. New ones come about at once.
func (w *Wire) Drop() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.relay()
}

// Swallow leaves connections open, old ones and new ones, and loses whatever
// is sent on them from now on: neither end is told.
func (w *Wire) Swallow() error { return w.swallow("upstream", "downstream") }

// Deafen lets everything through to the server and loses its replies.
func (w *Wire) Deafen() error { return w.swallow("downstream") }

func (w *Wire) swallow(streams ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, stream := range streams {
		if err := w.add("swallow", "timeout", stream, map[string]int64{"timeout": 0}); err != nil {
			return err
		}
	}
	return nil
}

// Delay makes whatever is sent arrive later, each way, by latency and up to
// jitter more or less.
func (w *Wire) Delay(latency, jitter time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, stream := range []string{"upstream", "downstream"} {
		attributes := map[string]int64{"latency": latency.Milliseconds(), "jitter": jitter.Milliseconds()}
		if err := w.add("delay", "latency", stream, attributes); err != nil {
			return err
		}
	}
	w.slow = true
	return nil
}

// Mend makes the wire as it was at first. Connections on which something was
// lost end: their two ends do not agree on what was said. Those that were only
// slow go on.
func (w *Wire) Mend() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slow && w.proxy.Enabled {
		w.slow = false
		w.proxy.Toxics.ResetToxics(context.Background())
		return nil
	}
	return w.relay()
}

// Close takes the wire away.
func (w *Wire) Close() { w.Cut() }

// relay lays the wire anew, at the same place. mu is held.
func (w *Wire) relay() error {
	w.proxy.Stop()
	w.proxy.Toxics.ResetToxics(context.Background())
	w.slow = false
	if err := w.proxy.Start(); err != nil {
		return fmt.Errorf("lay the wire at %s anew: %w", w.address, err)
	}
	return nil
}

// add adds a toxic to one direction. mu is held.
func (w *Wire) add(name, kind, stream string, attributes map[string]int64) error {
	toxic, err := json.Marshal(map[string]any{
		"name": name + "_" + stream, "type": kind, "stream": stream, "attributes": attributes,
	})
	if err != nil {
		return err
	}
	if _, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(string(toxic))); err != nil {
		return fmt.Errorf("%s the wire at %s: %w", name, w.address, err)
	}
	return nil
}
