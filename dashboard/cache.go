package dashboard

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// sourceTimeout bounds how long a scrape waits for a database.
	sourceTimeout = time.Second
	// cacheFor is how long an answer counts, however many scrape.
	cacheFor = 5 * time.Second
)

// cache asks a database for rows, seldom and not for long.
type cache[Row any] struct {
	what string
	ask  func(ctx context.Context) ([]Row, error) // nil for nobody to ask
	log  *slog.Logger

	mu    sync.Mutex // held while asking: whoever comes meanwhile waits for the same answer
	asked time.Time
	rows  []Row
}

// get returns rows that nobody changes; none if there was no answer.
func (c *cache[Row]) get() []Row {
	if c.ask == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked.IsZero() && time.Since(c.asked) < cacheFor {
		return c.rows
	}
	ctx, cancel := context.WithTimeout(context.Background(), sourceTimeout)
	defer cancel()
	rows, err := c.ask(ctx)
	if err != nil {
		c.log.Debug("a metric's source did not answer", "source", c.what, "err", err)
		rows = nil
	}
	c.rows, c.asked = rows, time.Now()
	return c.rows
}
