package store

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DB is what a statement runs on: a pool, a connection or a transaction.
type DB interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Store reads and steers the jobs of one schema. It is safe for concurrent use
// and owns nothing: its pool is the caller's.
type Store struct {
	pool   *pgxpool.Pool
	schema string
	sql    statements
}

// New returns the store of a schema. It does not connect.
func New(pool *pgxpool.Pool, schema string) (*Store, error) {
	sql, err := statementsFor(schema)
	if err != nil {
		return nil, err
	}
	return &Store{pool: pool, schema: schema, sql: sql}, nil
}

// Schema is the name of the schema, unquoted.
func (s *Store) Schema() string { return s.schema }

// wrap says what was done where, and what to do where the schema is not there.
func (s *Store) wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch pgErr.Code {
		case "3F000", "42P01", "42883": // the schema, a table or a function is not there
			return fmt.Errorf("%s in schema %q: migrate the schema first: understudy migrate up: %w", doing, s.schema, err)
		}
	}
	return fmt.Errorf("%s in schema %q: %w", doing, s.schema, err)
}

// refuse is wrap for calls of the schema's functions: what they raise on
// purpose is in words for people.
func (s *Store) refuse(doing string, err error) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch pgErr.Code {
		case codeInvalidParameter, codeNoData, codeInUse, codeUniqueViolation:
			return &Refusal{Code: pgErr.Code, Message: pgErr.Message, Hint: pgErr.Hint}
		}
	}
	return s.wrap(doing, err)
}

// The SQLSTATEs that the schema's functions raise on purpose.
const (
	codeInvalidParameter = "22023"
	codeNoData           = "P0002"
	codeInUse            = "55006"
	codeUniqueViolation  = "23505"
)

// codeNotPermitted is the SQLSTATE of a right that the login lacks.
const codeNotPermitted = "42501"

// Refusal is a request that the schema's functions refused: its message says
// what was wrong and is meant for people.
type Refusal struct {
	Code    string // SQLSTATE
	Message string
	Hint    string // what to do instead; mostly empty
}

func (r *Refusal) Error() string { return r.Message }

// NotFound says that the job does not exist.
func (r *Refusal) NotFound() bool { return r.Code == codeNoData }

// OfCompleted says that the job is completed, and RetryCompleted would run it again.
func (r *Refusal) OfCompleted() bool {
	return r.Code == codeInUse && strings.Contains(r.Hint, "retry_completed(")
}

// wakeChannel is the schema's wake_channel(): its name follows from the
// schema's, which may itself be as long as a channel's name can be.
func wakeChannel(schema string) string { return "understudy_" + digest(schema) }

// cancelChannel is the schema's cancel_channel().
func cancelChannel(schema string) string { return "understudy_cancel_" + digest(schema) }

func digest(schema string) string {
	sum := md5.Sum([]byte(schema))
	return hex.EncodeToString(sum[:])
}
