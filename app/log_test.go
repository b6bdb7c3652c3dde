package app_test

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
)

// overflowing is the URL of a service whose answers are longer than it
// announces: what is too much comes when the connection is idle.
func overflowing(t *testing.T, tooMuch string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				request := make([]byte, 1<<16)
				if _, err := conn.Read(request); err != nil {
					return
				}
				conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + tooMuch))
				conn.Read(request) // until the other side closes it
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// wantJSON fails for each line that is no JSON object.
func (p *pod) wantJSON() {
	p.th.t.Helper()
	for line := range strings.Lines(p.log.String()) {
		if json.Unmarshal([]byte(line), &map[string]any{}) != nil {
			p.th.t.Errorf("a line of the log is not JSON: %s", line)
		}
	}
}

func TestWhatLibrariesPrintIsALineOfTheLogWithoutAPieceOfAnAnswer(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	const secret = "left-over secret"
	t.Run("net/http", func(t *testing.T) {
		p := th.start("a", "active", "--handlers.more.type=http", "--handlers.more.url="+overflowing(t, secret))
		th.enqueue(th.production, "more", 1, 0)
		p.until("net/http has complained", func() bool { return p.log.contains("Unsolicited response") })
		p.wantJSON()
		if p.log.contains(secret) {
			t.Errorf("the log holds a piece of the answer:\n%s", p.log)
		}
	})
	t.Run("OpenTelemetry", func(t *testing.T) {
		p := th.hire("b")
		p.role("active")
		p.env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_TRACES_SAMPLER=nonsense"}
		p.start()
		p.until("OpenTelemetry has complained", func() bool { return p.log.contains("OpenTelemetry: ") })
		p.wantJSON()
	})
}

func TestTheLastLineOfAWorkerThatHasToEndIsOneOfTheLog(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().String()
	p := th.start("a", "active", "--http.addr="+taken)
	if code := p.exit(); code != 1 || !p.log.contains("http.addr: listen tcp "+taken) {
		t.Errorf("exit code %d, want 1 and what is taken\n%s", code, p.log)
	}
	p.wantJSON()
}
