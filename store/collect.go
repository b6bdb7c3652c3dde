package store

import (
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
)

// collector makes jobs of the rows of a claim. They come by the thousand, so
// what they have in common is shared and the rest is allocated in blocks: one
// job that runs for long keeps its block in memory, and no more.
type collector struct {
	common         understudy.Job // what all jobs of the claim have in common
	jobs           []*understudy.Job
	rows           int              // of ready that held them
	free           []understudy.Job // of the current block
	kind           kindScanner
	args, metadata jsonScanner

	bytes  int    // of their arguments and metadata
	budget int    // of bytes, of all jobs but the first; 0 for none
	over   bool   // there are more: what has come is not to be kept
	stop   func() // breaks the claim off
}

// jobBlock is how many jobs are allocated at a time at the most: of a claim of
// a few there are no more than those.
const jobBlock = 32

func newCollector(schema, queue string, kinds []string, claim understudy.Claim) *collector {
	c := &collector{common: understudy.Job{Schema: schema, Queue: queue, Claim: claim}, kind: kindScanner{known: make(map[string]string, len(kinds))}}
	for _, kind := range kinds {
		c.kind.known[kind] = kind
	}
	return c
}

// collect reads all rows of the statement "claim". Where they are more than the
// budget has room for, it keeps no more of them, and has the claim broken off.
func (c *collector) collect(rows pgx.Rows) error {
	for rows.Next() {
		if c.over {
			continue
		}
		if err := c.add(rows); err != nil {
			return err
		}
		last := c.jobs[len(c.jobs)-1]
		c.bytes += len(last.Args) + len(last.Metadata)
		if c.budget > 0 && c.bytes > c.budget && len(c.jobs) > 1 {
			c.over = true
			c.stop()
		}
	}
	return rows.Err()
}

func (c *collector) add(rows pgx.Rows) error {
	if len(c.free) == 0 {
		c.free = make([]understudy.Job, min(len(c.jobs)+1, jobBlock))
	}
	j := &c.free[0]
	*j = c.common
	if err := rows.Scan(&j.Priority, &j.ScheduledAt, &j.ID, &c.kind, &c.args, &j.Attempt, &j.MaxAttempts,
		&j.Losses, &j.UniqueKey, &c.metadata, &j.CreatedAt, &j.AttemptedAt, &j.Claim.Requeues, &c.rows); err != nil {
		return err
	}
	j.Kind, j.Args, j.Metadata = c.kind.value, c.args.value, c.metadata.value
	// In another zone the last hours of the year 9999 are no time that JSON knows.
	j.ScheduledAt, j.CreatedAt, j.AttemptedAt = j.ScheduledAt.UTC(), j.CreatedAt.UTC(), j.AttemptedAt.UTC()
	c.free = c.free[1:]
	c.jobs = append(c.jobs, j)
	return nil
}

// kindScanner takes a kind from a row without another copy of its name.
type kindScanner struct {
	known map[string]string
	value string
}

// ScanBytes implements pgtype.BytesScanner.
func (s *kindScanner) ScanBytes(src []byte) error {
	kind, known := s.known[string(src)]
	if !known {
		kind = string(src)
	}
	s.value = kind
	return nil
}

// jsonScanner takes JSON from a row, as it is, into blocks that rows share.
type jsonScanner struct {
	block int    // bytes of the current block
	free  []byte // of them
	value json.RawMessage
}

// jsonBlock is how many bytes are allocated at a time at the most; JSON that is
// long beside it has an array of its own.
const jsonBlock = 4 << 10

// ScanBytes implements pgtype.BytesScanner.
func (s *jsonScanner) ScanBytes(src []byte) error {
	if len(src) > jsonBlock/4 {
		s.value = append(json.RawMessage(nil), src...)
		return nil
	}
	if len(src) > len(s.free) {
		s.block = min(2*max(s.block, len(src)), jsonBlock)
		s.free = make([]byte, s.block)
	}
	n := copy(s.free, src)
	s.value, s.free = json.RawMessage(s.free[:n:n]), s.free[n:]
	return nil
}
