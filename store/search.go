package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy"
)

// MaxSearchBytes limits the text of a search.
const MaxSearchBytes = 200

// Search selects jobs for people to look at; empty fields select all.
type Search struct {
	State       understudy.State
	Kind, Queue string
	// Text is what args, metadata, unique_key, last_error, result or warning hold,
	// as Postgres writes them, whatever the case of its letters; beyond ASCII the
	// database's locale decides. A number finds the job with that id besides.
	Text   string
	Before int64         // only jobs with a smaller id: Next of the page before
	Limit  int           // jobs on a page, 50 when 0
	Budget time.Duration // how long to look for them, about; 400 ms when 0
}

// Found is a page of a search, the newest job first. On the first page, the job
// whose id was searched for stands before all, beyond the limit.
type Found struct {
	Jobs []Summary
	// Next is Before of the next page; 0 where there is none.
	Next int64
	// Early says that time was over before the page was full: jobs with smaller
	// ids than Next are yet to be looked at.
	Early bool
}

// Summary is a job without what may be long: Args, as Postgres writes it,
// LastError and Warning are cut after 200 characters.
type Summary struct {
	ID              int64            `db:"id"`
	Queue           string           `db:"queue"`
	Kind            string           `db:"kind"`
	State           understudy.State `db:"state"`
	Attempt         int              `db:"attempt"`
	MaxAttempts     int              `db:"max_attempts"`
	ScheduledAt     time.Time        `db:"scheduled_at"`
	AttemptedAt     *time.Time       `db:"attempted_at"`
	FinalizedAt     *time.Time       `db:"finalized_at"`
	CancelRequested bool             `db:"cancel_requested"`
	WorkerVersion   string           `db:"worker_version"`
	WorkerRole      string           `db:"worker_role"`
	Args            string           `db:"args"`
	LastError       string           `db:"last_error"`
	Warning         string           `db:"warning"`
}

// summaryChars is how much of a text a summary has.
const summaryChars = 200

// Search looks for jobs from the newest to the oldest, some at a time, until
// the page is full, all have been looked at, or its time is over. What it reads
// follows from how far it looks, not from how many jobs there are. Each job is on
// one page of a search, also where it is claimed or finished meanwhile. What
// cannot be searched for is a Refusal.
func (s *Store) Search(ctx context.Context, search Search) (Found, error) {
	l, err := s.searching(search)
	if err != nil {
		return Found{}, &Refusal{Code: codeInvalidParameter, Message: "search: " + err.Error()}
	}
	err = l.run(ctx)
	if cannotHold(err, search.Text, search.Kind, search.Queue) {
		return Found{}, nil
	}
	return l.found, s.wrap("search jobs", err)
}

// cannotHold says whether an error means that the database can hold none of what
// was asked for, since its encoding, not UTF8, lacks a character of it.
func cannotHold(err error, asked ...string) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "22P05" { // untranslatable_character
		return false
	}
	return slices.ContainsFunc(asked, func(text string) bool {
		return strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
	})
}

const (
	// firstLook is how many jobs are looked at first where few may match; the
	// next looks take as many more as are quick to look at.
	firstLook = 64
	// maxLook bounds how many are looked at at once.
	maxLook = 20_000
	// aim is how long a look should take: not long to a person, nor so short
	// that the way to the database counts.
	aim = 40 * time.Millisecond
	// lookLimit ends a look that meets far longer jobs than the one before; fewer
	// are looked at then. A look at one job has no limit but the caller's.
	lookLimit = 400 * time.Millisecond
)

// searching is a search under way.
type searching struct {
	store   *Store
	search  Search
	began   time.Time
	pattern string // what Text is as a pattern
	ascii   bool   // whether its letters are those of English alone, which is quicker
	named   int64  // the job whose id Text is, 0 for none

	below int64 // jobs with smaller ids are yet to be looked at
	look  int   // how many of them to look at next
	found Found
}

func (s *Store) searching(search Search) (*searching, error) {
	for name, text := range map[string]string{"kind": search.Kind, "queue": search.Queue} {
		if err := checkText(name, text, math.MaxInt); err != nil {
			return nil, err
		}
	}
	if err := checkText("text", search.Text, MaxSearchBytes); err != nil {
		return nil, err
	}
	if search.State != "" {
		if _, err := understudy.ParseState(string(search.State)); err != nil {
			return nil, err
		}
	}
	search.Limit = cmp.Or(search.Limit, 50)
	search.Budget = cmp.Or(search.Budget, 400*time.Millisecond)
	l := &searching{store: s, search: search, began: time.Now(), below: cmp.Or(search.Before, math.MaxInt64)}
	l.pattern, l.ascii = pattern(search.Text)
	l.named = idIn(search.Text)
	l.look = firstLook
	if search.State == "" && search.Kind == "" && search.Queue == "" && search.Text == "" {
		l.look = search.Limit + 1 // all match
	}
	return l, nil
}

// pattern is a text for ILIKE to find anywhere in another.
func pattern(text string) (pattern string, ascii bool) {
	if text == "" {
		return "", true
	}
	ascii = !strings.ContainsFunc(text, func(r rune) bool { return r > 127 })
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%", ascii
}

// idIn is the id that a text is, or 0.
func idIn(text string) int64 {
	id, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || id < 1 || id == math.MaxInt64 {
		return 0
	}
	return id
}

func (l *searching) run(ctx context.Context) error {
	if err := l.findNamed(ctx); err != nil {
		return err
	}
	for room, progress := l.search.Limit, false; ; {
		jobs, floor, err := l.next(ctx, room+1)
		switch {
		case tookTooLong(err) && l.look > 1:
			l.look = max(l.look/10, 1)
		case err != nil:
			return err
		case len(jobs) > room:
			l.found.Jobs = append(l.found.Jobs, jobs[:room]...)
			l.found.Next = jobs[room-1].ID
			return nil
		default:
			l.found.Jobs, l.found.Next = append(l.found.Jobs, jobs...), floor
			l.below, room, progress = floor, room-len(jobs), true
			if floor == 0 || room == 0 {
				return nil
			}
		}
		if progress && time.Since(l.began) >= l.search.Budget {
			l.found.Early = true
			return nil
		}
	}
}

// next looks at the next jobs, and returns those that match, no more than
// limit, and the lowest id that it looked at, or 0 where there is none below.
func (l *searching) next(ctx context.Context, limit int) ([]Summary, int64, error) {
	began := time.Now()
	floor, err := l.floor(ctx)
	if err != nil {
		return nil, 0, err
	}
	jobs, err := l.between(ctx, l.timeout(), floor, l.below, l.pattern, l.named, limit)
	if err != nil {
		return nil, 0, err
	}
	faster := float64(aim) / float64(max(time.Since(began), time.Microsecond))
	l.look = min(max(int(float64(l.look)*min(faster, 4)), 1), maxLook)
	return jobs, floor, nil
}

// timeout is how long a statement of the next look may take, 0 for as long as it likes.
func (l *searching) timeout() time.Duration {
	if l.look == 1 {
		return 0
	}
	return lookLimit
}

// floor is the lowest of the ids to be looked at next, 0 where there are fewer.
func (l *searching) floor(ctx context.Context) (int64, error) {
	type row struct{ Lowest, IDs int64 }
	rows, err := within[row](ctx, l.store, l.timeout(), "search_floor", l.below, l.look, l.open(), l.running(), l.finished())
	if err != nil || rows[0].IDs < int64(l.look) {
		return 0, err
	}
	return rows[0].Lowest, nil
}

// between returns the jobs with ids from floor to below that one, but for one.
func (l *searching) between(ctx context.Context, timeout time.Duration, floor, below int64, pattern string, without int64, limit int) ([]Summary, error) {
	jobs, err := within[Summary](ctx, l.store, timeout, "search", floor, below, l.open(), l.running(), l.finished(),
		string(l.search.State), l.search.Kind, l.search.Queue, pattern, l.ascii, without, limit, summaryChars)
	for i := range jobs {
		jobs[i].toUTC()
	}
	return jobs, err
}

// What to search: jobs that are not finished, the running ones, which are few
// among them, or the finished ones.
func (l *searching) open() bool     { return !l.search.State.Final() && !l.running() }
func (l *searching) running() bool  { return l.search.State == understudy.StateRunning }
func (l *searching) finished() bool { return l.search.State == "" || l.search.State.Final() }

// findNamed puts the job first whose id is searched for, and leaves it to the
// first page.
func (l *searching) findNamed(ctx context.Context) (err error) {
	if l.named != 0 && l.search.Before == 0 {
		l.found.Jobs, err = l.between(ctx, 0, l.named, l.named+1, "", 0, 1)
	}
	return err
}

func (j *Summary) toUTC() {
	j.ScheduledAt = j.ScheduledAt.UTC()
	for _, t := range []*time.Time{j.AttemptedAt, j.FinalizedAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
}

// within runs a statement that the server ends when its time is over. A
// timeout of 0 is none.
func within[T any](ctx context.Context, s *Store, timeout time.Duration, name string, args ...any) (rows []T, err error) {
	batch := &pgx.Batch{}
	batch.Queue(s.sql.get("search_limits"), fmt.Sprintf("%dms", timeout.Milliseconds()))
	batch.Queue(s.sql.get(name), args...).Query(func(r pgx.Rows) (err error) {
		rows, err = pgx.CollectRows(r, pgx.RowToStructByName[T])
		return err
	})
	return rows, s.pool.SendBatch(ctx, batch).Close()
}

// tookTooLong says that the server ended a statement whose time was over.
func tookTooLong(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "57014" // query_canceled
}
