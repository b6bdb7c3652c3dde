package supervisor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestAnAttemptToConnectMayTakeAsLongAsNoneHasSucceeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p patience
		attempt := func(want time.Duration) *pgx.ConnConfig {
			t.Helper()
			config, err := pgx.ParseConfig("postgres://localhost/jobs")
			if err != nil {
				t.Fatal(err)
			}
			p.attempt(config)
			if config.ConnectTimeout != want {
				t.Errorf("the attempt may take %s, want %s", config.ConnectTimeout, want)
			}
			return config
		}
		attempt(connectTimeout)
		time.Sleep(connectTimeout)
		attempt(connectTimeout)
		time.Sleep(connectTimeout + time.Second)
		attempt(2*connectTimeout + time.Second)
		time.Sleep(time.Hour)
		last := attempt(maxConnectTimeout)
		if err := last.AfterConnect(t.Context(), nil); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		attempt(connectTimeout)
	})
}
