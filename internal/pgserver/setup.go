package pgserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/understudy-worker/understudy/internal/tail"
)

// prepare finds what a server needs and makes its directory.
func prepare(options Options) (*Server, error) {
	bindir, err := options.bindir()
	if err != nil {
		return nil, fmt.Errorf("start a Postgres server: %w", err)
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, fmt.Errorf("start a Postgres server: %w", err)
	}
	dir, lock, err := makeDir(options.Dir)
	if err != nil {
		return nil, err
	}
	return &Server{
		bindir:       bindir,
		dir:          dir,
		lock:         lock,
		account:      owner,
		password:     rand.Text(),
		log:          &tail.Tail{Next: options.Log},
		startTimeout: cmp.Or(options.StartTimeout, defaultStartTimeout),
	}, nil
}

// create makes the cluster's files.
func (s *Server) create(ctx context.Context, options Options) error {
	config, err := options.config()
	if err != nil {
		return err
	}
	passwordFile := filepath.Join(s.dir, "password")
	err = errors.Join(
		s.account.reach(s.dir),
		s.account.own(s.dir),
		os.WriteFile(passwordFile, []byte(s.password), 0o600),
		s.account.own(passwordFile),
	)
	if err != nil {
		return fmt.Errorf("hand the Postgres server its directory: %w", err)
	}
	// Not synced: a machine that crashes now loses a cluster that holds nothing.
	err = s.run(ctx, "initdb", "--pgdata="+s.data(), "--username="+superuser,
		"--auth=scram-sha-256", "--pwfile="+passwordFile,
		"--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions")
	if err != nil {
		return fmt.Errorf("create a Postgres cluster: %w", err)
	}
	return errors.Join(os.Remove(passwordFile), s.addTo("postgresql.conf", config))
}

// addTo adds settings to a file of the cluster's configuration.
func (s *Server) addTo(name, config string) error {
	file, err := os.OpenFile(filepath.Join(s.data(), name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString("\n" + config)
	return errors.Join(err, file.Close())
}

// data is the cluster's own directory.
func (s *Server) data() string { return filepath.Join(s.dir, "data") }
