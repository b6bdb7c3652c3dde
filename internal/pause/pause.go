// Package pause waits for a while that a context can end.
package pause

import (
	"context"
	"time"
)

// For waits for d, or returns the cause of the context's end.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
