package container

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// databasePatience bounds the making and the dropping of a database.
const databasePatience = 30 * time.Second

// Database creates an empty database for this test alone and returns its name.
// It is dropped when the test ends, sessions and all.
func (p *Postgres) Database(t testing.TB) string {
	t.Helper()
	name := uniqueName(t)
	// template0, because nobody can be connected to it, which would be in the way.
	if err := p.execute("CREATE DATABASE " + quote(name) + " TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.execute("DROP DATABASE IF EXISTS " + quote(name) + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return name
}

// execute runs one statement as the superuser on a connection of its own.
func (p *Postgres) execute(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), databasePatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the test's Postgres server: %w", err)
	}
	_, err = conn.Exec(ctx, statement)
	if err != nil {
		err = fmt.Errorf("%s: %w", statement, err)
	}
	return errors.Join(err, conn.Close(ctx))
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// uniqueName is a name for a database that tells the test it belongs to and is
// no other's.
func uniqueName(t testing.TB) string {
	name := notInName.ReplaceAllString(strings.ToLower(t.Name()), "_")
	return fmt.Sprintf("%.32s_%.10s", name, strings.ToLower(rand.Text()))
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
