package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/source"
	"github.com/jackc/pgx/v5"
)

// series is one series of migrations that is being applied.
type series struct {
	*migration
	files   source.Driver
	driver  database.Driver
	session *pgx.Conn // the driver's
	table   string    // of its versions
}

// applyAll applies the files after the schema's version, and stops between two
// of them when ctx ends.
func (s *series) applyAll(ctx context.Context) error {
	var version int
	err := s.patience.watch(ctx, s.session, func() (err error) {
		version, _, err = s.driver.Version()
		return plain(err)
	})
	if err != nil {
		return err
	}
	next, err := after(s.files, version)
	for err == nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.applyFile(ctx, next, version); err != nil {
			return err
		}
		version = int(next)
		next, err = s.files.Next(next)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// applyFile applies one file. The mark that it is under way is committed
// first: where it stays, the file failed or its process died.
func (s *series) applyFile(ctx context.Context, version uint, before int) (err error) {
	text, name, err := s.read(version)
	if err != nil {
		return fmt.Errorf("read migration %d: %w", version, err)
	}
	if err = s.setVersion(ctx, int(version), true); err == nil {
		err = s.run(ctx, text, before)
	}
	if err == nil {
		err = s.setVersion(ctx, int(version), false)
		if err != nil && s.writeVersion(ctx, int(version)) == nil { // which takes a lesser lock
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("migration %d_%s: %w", version, name, err)
	}
	return nil
}

func (s *series) read(version uint) (text, name string, err error) {
	body, name, err := s.files.ReadUp(version)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	data, err := io.ReadAll(body)
	return string(data), name, err
}

func (s *series) setVersion(ctx context.Context, version int, dirty bool) error {
	return s.patience.retry(ctx, s.session, func() error { return plain(s.driver.SetVersion(version, dirty)) })
}

// run runs a file. Where it could not get what it waited for and nothing of it
// took effect, the schema is as it was before.
func (s *series) run(ctx context.Context, text string, before int) error {
	do := func() error { return plain(s.driver.Run(strings.NewReader(text))) }
	switch {
	case isOneTransaction(text):
		err := s.patience.retry(ctx, s.session, do)
		var inVain *WaitError
		if errors.As(err, &inVain) || isLockTimeout(err) {
			_ = s.writeVersion(ctx, before) // else it stays dirty, which is said where it is found
		}
		return err
	case isConcurrent(text):
		return s.runConcurrently(ctx, do)
	}
	return s.patience.watch(ctx, s.session, do)
}

// runConcurrently runs a file that builds or drops an index beside others' work. It
// waits for old snapshots, which is in nobody's way, so that lockTimeout does not
// hold for it.
func (s *series) runConcurrently(ctx context.Context, do func() error) error {
	set := func(timeout string) error {
		return plain(s.driver.Run(strings.NewReader("SET lock_timeout = '" + timeout + "'")))
	}
	if err := set("0"); err != nil {
		return err
	}
	err := s.patience.watch(ctx, s.session, do)
	if err == nil {
		return set(lockTimeout)
	}
	if left := s.invalidIndexes(ctx); left != "" {
		err = fmt.Errorf("%w (what it began is not whole: drop the indexes that are invalid, of %s, before anything else)", err, left)
	}
	return err
}

// invalidIndexes names the schema's indexes that are not whole.
func (s *series) invalidIndexes(ctx context.Context) (names string) {
	sql, err := statementsFor(s.Schema)
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeVersionTimeout)
	defer cancel()
	_ = s.conn.QueryRow(ctx, sql.get("invalid_indexes"), s.Schema).Scan(&names) // what is left is found out by who mends it
	return names
}

// writeVersionTimeout bounds what is still done for a schema after a failure.
const writeVersionTimeout = 5 * time.Second

// writeVersion writes the schema's version, clean, by the session that the library
// does not use. It waits for nobody who only reads.
func (s *series) writeVersion(ctx context.Context, version int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeVersionTimeout)
	defer cancel()
	name := pgx.Identifier{s.Schema, s.table}.Sanitize()
	return pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = local") // a standby may be what was waited for
		if err == nil {
			_, err = tx.Exec(ctx, "DELETE FROM "+name)
		}
		if err == nil && version != database.NilVersion {
			_, err = tx.Exec(ctx, "INSERT INTO "+name+" (version, dirty) VALUES ($1, false)", version)
		}
		return err
	})
}
