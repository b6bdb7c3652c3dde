package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/understudy-worker/understudy"
)

// A lease is renewed renewals times over its length. Without a confirmed
// renewal the worker gives it up at five eighths of its length, by its own clock,
// and handlers have until seven eighths of it to return. An outage may begin just
// before a renewal was due, and end just after another was tried: so one that is
// shorter than half the lease stops nobody.
const renewals = 12

// givenUp is how long after the last confirmed renewal a lease is given up.
func givenUp(length time.Duration) time.Duration { return length * 5 / 8 }

// renewTries is how many renewals that hang fit into the length of a lease.
const renewTries = 6

// maxRenewWait is the longest pause after a renewal that failed. The others that
// wait for the server go on with the renewal that succeeds: so soon is all of the
// worker back.
const maxRenewWait = time.Second

// lease keeps the epoch alive, and says when it cannot.
type lease struct {
	queue    Queue
	length   time.Duration
	observer Observer
	log      *slog.Logger
	retries  retries       // belongs to the goroutine of keep
	beat     func()        // called after each confirmed renewal
	lost     chan struct{} // closed when the lease is lost
	draining chan struct{} // closed when a drain begins that the server is to know of

	mu        sync.Mutex
	confirmed time.Time // just before the last confirmed renewal was sent
}

func newLease(o Options, retries retries, beat func()) *lease {
	return &lease{
		queue: o.Queue, length: o.Lease, observer: o.Observer, log: o.Log, retries: retries, beat: beat,
		lost: make(chan struct{}), draining: make(chan struct{}),
	}
}

// renewal is a call to Renew and what became of it.
type renewal struct {
	sent     time.Time
	draining bool
	err      error
}

// keep renews until ctx ends or the lease is lost. It counts the time itself
// and leaves the calls to a goroutine beside it: one that hangs stops nothing.
func (l *lease) keep(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var calls sync.WaitGroup
	defer calls.Wait()
	defer cancel()
	replies := make(chan renewal, 1)
	beginsToDrain := l.draining
	k := keeper{lease: l, next: l.last().Add(l.length / renewals)}
	for !k.over() {
		if k.due() {
			k.underWay = true
			draining := k.draining
			calls.Go(func() { replies <- l.renew(ctx, draining) })
		}
		alarm := time.NewTimer(k.wait())
		select {
		case <-ctx.Done():
			return
		case <-beginsToDrain:
			k.draining, beginsToDrain = true, nil
			k.next = time.Now()
		case reply := <-replies:
			k.hear(reply)
		case <-alarm.C:
		}
		alarm.Stop()
	}
}

// keeper is what keep knows.
type keeper struct {
	*lease
	next     time.Time // when to renew
	underWay bool      // a renewal is
	draining bool
	ended    error // the server says that the epoch is over
}

// over says whether the lease is lost, and lets everybody know.
func (k *keeper) over() bool {
	switch {
	case k.ended != nil:
		k.lose(k.ended.Error())
	case time.Since(k.last()) >= givenUp(k.length):
		k.lose("no renewal was confirmed for five eighths of its length")
	default:
		return false
	}
	return true
}

// due says whether to renew now.
func (k *keeper) due() bool { return !k.underWay && time.Until(k.next) <= 0 }

// wait says how long nothing is to be done unless something happens.
func (k *keeper) wait() time.Duration {
	left := givenUp(k.length) - time.Since(k.last())
	if k.underWay {
		return left
	}
	return min(left, time.Until(k.next))
}

// hear notes a reply and plans the next renewal.
func (k *keeper) hear(reply renewal) {
	k.underWay = false
	switch {
	case errors.Is(reply.err, understudy.ErrEpochOver):
		k.ended = reply.err
	case reply.err != nil:
		wait := k.retries.failure(reply.err)
		k.next = time.Now().Add(min(wait, maxRenewWait, k.length/(4*renewals)))
	default:
		k.retries.success()
		k.confirm(reply.sent)
		k.beat()
		k.next = reply.sent.Add(jitter(k.length / renewals))
		if k.draining != reply.draining {
			k.next = time.Now() // the server does not know yet
		}
	}
}

// renew makes one call, which ends in time for another.
func (l *lease) renew(ctx context.Context, draining bool) renewal {
	limited, cancel := context.WithTimeout(ctx, l.length/renewTries)
	defer cancel()
	reply := renewal{sent: time.Now(), draining: draining}
	reply.err = l.queue.Renew(limited, draining)
	if ctx.Err() == nil {
		l.observer.Renewed(reply.err)
	}
	return reply
}

// lose says that the lease is lost.
func (l *lease) lose(why string) {
	l.log.Error("the lease is lost: all jobs are told to stop", "reason", why, "confirmed", l.last())
	close(l.lost)
}

// confirm notes when a renewal was sent that the server has confirmed.
func (l *lease) confirm(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.confirmed = sent
}

// last says when the last confirmed renewal was sent.
func (l *lease) last() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.confirmed
}

// isLost says whether the lease is lost.
func (l *lease) isLost() bool {
	select {
	case <-l.lost:
		return true
	default:
		return false
	}
}
