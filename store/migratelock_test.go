package store_test

import (
	"bytes"
	"log/slog"
	"testing"
	"testing/fstest"
	"time"

	"github.com/understudy-worker/understudy/internal/pgtest"
	"github.com/understudy-worker/understudy/store"
)

func TestAMigrationThatWaitsSaysForWhomAndNotForEver(t *testing.T) {
	t.Parallel()
	f := over(t, pgtest.Schema(t))
	files := fstest.MapFS{}
	h := holdMigration(t, f, files)
	config := f.pool.Config().ConnConfig
	var log bytes.Buffer
	err := store.Migrate(t.Context(), config, store.MigrateOptions{
		Schema: f.schema, App: files, LockWait: 1500 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	wantError(t, err, `waited 1.5s for the lock that session`)
	wantError(t, err, `of login "`+config.User+`"`)
	if !bytes.Contains(log.Bytes(), []byte("waiting for another session to migrate the schema")) {
		t.Errorf("while it waited it said %q", log.String())
	}
	h.release()
	if err := <-h.done; err != nil {
		t.Error(err)
	}
	h.cancel()
	wantStatus(t, f, files, "current: version {ours}; application: current: version 1")
}
