package worker

import (
	"strings"
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
)

func TestOptionsNameTheirBadField(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*Options){
		`Queue is nil`:                                    func(o *Options) { o.Queue = nil },
		`Key is empty`:                                    func(o *Options) { o.Running = &Running{} },
		`Handlers has an empty kind`:                      func(o *Options) { o.Handlers[""] = understudy.HandlerFunc(nothing) },
		`Handlers has no handler for kind "mail"`:         func(o *Options) { o.Handlers["mail"] = nil },
		`Queues is empty`:                                 func(o *Options) { o.Queues = nil },
		`Queues has a queue without a name`:               func(o *Options) { o.Queues[""] = 1 },
		`Queues gives queue "mail" the concurrency 0`:     func(o *Options) { o.Queues["mail"] = 0 },
		`Queues gives queue "mail" the concurrency 10001`: func(o *Options) { o.Queues["mail"] = 10_001 },
		`PollInterval is -1s`:                             func(o *Options) { o.PollInterval = -time.Second },
		`JobTimeout is -1s`:                               func(o *Options) { o.JobTimeout = -time.Second },
		`DrainTimeout is -1s`:                             func(o *Options) { o.DrainTimeout = -time.Second },
		`HardStop is -1s`:                                 func(o *Options) { o.HardStop = -time.Second },
		`OutcomeTimeout is -1s`:                           func(o *Options) { o.OutcomeTimeout = -time.Second },
		`Lease is -1s`:                                    func(o *Options) { o.Lease = -time.Second },
		`Lease is 1ms`:                                    func(o *Options) { o.Lease = time.Millisecond },
	} {
		options := Options{
			Queue: newFakeQueue(), Queues: map[string]int{"default": 1},
			Handlers: understudy.Handlers{"work": understudy.HandlerFunc(nothing)},
		}
		if _, err := New(options); err != nil {
			t.Fatalf("good options: %v", err)
		}
		spoil(&options)
		if _, err := New(options); err == nil || !strings.HasPrefix(err.Error(), "worker option "+field) {
			t.Errorf("error %v, want one that begins with %q", err, "worker option "+field)
		}
	}
}
