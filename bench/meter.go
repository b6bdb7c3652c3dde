package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/pause"
)

// walPosition is how many bytes of log the server has written ever.
func walPosition(ctx context.Context, db *pgxpool.Pool) (position int64, err error) {
	return position, db.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").Scan(&position)
}

// tableCosts are what the tables of a database have become.
type tableCosts struct {
	dead         int64 // row versions that updates and deletes left behind
	table, index int64 // bytes
}

// costsOfTables reads them. Those who wrote must have disconnected: then their
// statistics are in.
func costsOfTables(ctx context.Context, db *pgxpool.Pool) (c tableCosts, err error) {
	return c, db.QueryRow(ctx, `SELECT coalesce(sum(n_tup_upd + n_tup_del), 0)::bigint,
    coalesce(sum(pg_table_size(relid)), 0)::bigint, coalesce(sum(pg_indexes_size(relid)), 0)::bigint
FROM pg_stat_user_tables`).Scan(&c.dead, &c.table, &c.index)
}

// untilAlone waits until nobody but this process is connected to the database.
func untilAlone(ctx context.Context, d *database) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("somebody stays connected"))
	defer cancel()
	for {
		var others sightings
		if err := others.look(ctx, d); err != nil || others.connections == 0 {
			return err
		}
		if err := pause.For(ctx, pollEvery); err != nil {
			return fmt.Errorf("wait for connections to %s to end: %w", d.name, err)
		}
	}
}

// clockTick is Linux's unit of CPU times in /proc, USER_HZ.
const clockTick = 10 * time.Millisecond

// cpuTimes is CPU time so far. ended adds that of children that were waited for.
type cpuTimes struct{ own, ended time.Duration }

// readCPU reads a process's CPU time from /proc.
func readCPU(pid int) (times cpuTimes, parent int, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return times, 0, err
	}
	// The second field is a name in parentheses that may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 15 {
		return times, 0, fmt.Errorf("/proc/%d/stat has %d fields after the name", pid, len(fields))
	}
	at := func(i int) int { n, _ := strconv.Atoi(fields[i]); return n } // all of these are numbers
	times.own = time.Duration(at(11)+at(12)) * clockTick
	times.ended = time.Duration(at(13)+at(14)) * clockTick
	return times, at(1), nil
}

// cpuOf is the CPU time of processes so far.
func cpuOf(pids []int) (total time.Duration, err error) {
	for _, pid := range pids {
		times, _, err := readCPU(pid)
		if err != nil {
			return 0, err
		}
		total += times.own
	}
	return total, nil
}

// serverCPU is the CPU time of a server's processes so far: of those that run,
// and of those that have ended. It is known for a server on this machine only.
func serverCPU(postmaster int) (total time.Duration, err error) {
	times, _, err := readCPU(postmaster)
	if err != nil {
		return 0, err
	}
	total = times.own + times.ended
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if times, parent, err := readCPU(pid); err == nil && parent == postmaster { // the others have ended, or are none of its
			total += times.own + times.ended
		}
	}
	return total, nil
}

// postmaster finds the first process of the server, 0 if it is not on this machine.
func postmaster(ctx context.Context, db *pgxpool.Pool) (int, error) {
	var backend int
	if err := db.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return 0, err
	}
	_, parent, err := readCPU(backend)
	if err != nil {
		return 0, nil
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
	if err != nil || !strings.HasPrefix(string(name), "postgres") {
		return 0, nil
	}
	return parent, nil
}
