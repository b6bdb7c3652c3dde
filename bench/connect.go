package main

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// errDSN keeps what may hold a password out of messages.
var errDSN = errors.New("-dsn cannot be read: use postgres://USER:PASSWORD@HOST:PORT/DATABASE")

// pool opens a pool of so many connections. It does not connect.
func pool(ctx context.Context, dsn string, size int32, application string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errDSN
	}
	config.MaxConns = size
	config.ConnConfig.RuntimeParams["application_name"] = application
	return pgxpool.NewWithConfig(ctx, config)
}

// onDatabase is the DSN with another database.
func onDatabase(dsn, database string) (string, error) {
	if _, err := pgx.ParseConfig(dsn); err != nil {
		return "", errDSN
	}
	if !strings.Contains(dsn, "://") {
		return dsn + " dbname=" + database, nil // the last one counts
	}
	address, err := url.Parse(dsn)
	if err != nil {
		return "", errDSN
	}
	address.Path = "/" + database
	return address.String(), nil
}
