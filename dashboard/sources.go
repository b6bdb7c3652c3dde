package dashboard

import (
	"context"
	"log/slog"
	"time"

	"github.com/understudy-worker/understudy"
)

// Sources tell what metrics show as it stands at a scrape. One that is nil
// leaves its series out.
//
// Those that take a context ask a database. They get a second, and must return
// when it is over; their answer, and that there was none, counts for five
// seconds. An error leaves their series out.
type Sources struct {
	// Status is what the process is doing now.
	Status func() understudy.Status
	// Version is that of this worker.
	Version string
	// Snapshot is when the pod files were last read well, zero for never, and
	// how often their watch had to be set up anew.
	Snapshot func() (readAt time.Time, rearms int64)
	// Pool counts the connections of the epoch under way; nil without one.
	Pool func() *Pool
	// Due says how many jobs wait, by queue, in the target being served: in those
	// that the worker works, and in all others under the name Other. Without a
	// target it returns nothing.
	Due func(ctx context.Context) ([]Due, error)
	// LiveWorkers counts the workers of the target being served whose lease
	// runs. Without a target it returns nothing.
	LiveWorkers func(ctx context.Context) ([]LiveWorkers, error)
	// NotificationQueue is how full the queue of notifications is of the server
	// whose target is being served. Without one it returns nothing.
	NotificationQueue func(ctx context.Context) ([]NotificationQueue, error)
	// Log is told, at debug level, of errors; nil for nobody.
	Log *slog.Logger
}

// Pool counts connections by what they are doing, as pgxpool.Stat does.
type Pool struct {
	Acquired, Idle, Constructing int
}

// Due is how much waits in one queue of one target.
type Due struct {
	Queue, Target string
	Jobs          int64
	// OldestSeconds is how long the oldest of them has been due.
	OldestSeconds float64
}

// LiveWorkers is how many workers of one role live on one target.
type LiveWorkers struct {
	Target, Role string
	Workers      int64
}

// NotificationQueue is how full, from 0 to 1, the queue of a target's server is.
type NotificationQueue struct {
	Target string
	Usage  float64
}
