package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/internal/tail"
)

// Replica makes a server that follows this one, as a hot standby, with the same
// databases and the same password. It is stopped on its own.
func (s *Server) Replica(ctx context.Context) (*Server, error) {
	dir, lock, err := makeDir(filepath.Dir(s.dir))
	if err != nil {
		return nil, err
	}
	r := &Server{
		bindir: s.bindir, dir: dir, lock: lock, account: s.account, password: s.password,
		log: &tail.Tail{}, startTimeout: s.startTimeout,
	}
	err = errors.Join(r.account.reach(r.dir), r.account.own(r.dir))
	if err == nil {
		err = r.run(ctx, "pg_basebackup", "--pgdata="+r.data(), "--dbname="+s.DSN("postgres"),
			"--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	}
	if err == nil {
		err = r.launch(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a replica: %w", err), r.Stop())
	}
	return r, nil
}

// Follow lets a server that is halted come back as a replica of another, whose
// data it has but for what came later.
func (s *Server) Follow(ctx context.Context, primary *Server) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return errors.New("follow another Postgres server: halt this one first")
	}
	signal := filepath.Join(s.data(), "standby.signal")
	if err := errors.Join(os.WriteFile(signal, nil, 0o600), s.account.own(signal)); err != nil {
		return err
	}
	// The file that pg_basebackup writes too, and whose last line counts.
	if err := s.addTo("postgresql.auto.conf", fmt.Sprintf("primary_conninfo = '%s'\n", quoteSetting.Replace(primary.DSN("")))); err != nil {
		return err
	}
	return s.begin(ctx)
}

// Promote makes a replica a server of its own, which takes writes.
func (s *Server) Promote(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("promote a replica: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var promoted bool
	if err := conn.QueryRow(ctx, "SELECT pg_promote()").Scan(&promoted); err != nil || !promoted {
		return fmt.Errorf("promote a replica: promoted %t: %w", promoted, err)
	}
	return nil
}
