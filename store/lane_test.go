package store

import (
	"maps"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/pgtest"
)

func TestALaneHasItsSettingsWhateverTheSessionBeginsWith(t *testing.T) {
	t.Parallel()
	config := pgtest.Pool(t).Config()
	for name, value := range map[string]string{
		"statement_timeout": "60000", "idle_session_timeout": "60000", "lock_timeout": "60000", "TimeZone": "Asia/Kathmandu", "DateStyle": "German",
		"enable_nestloop": "off", "array_nulls": "off", "search_path": "public", "default_transaction_isolation": "serializable", "synchronous_commit": "local",
	} {
		config.ConnConfig.RuntimeParams[name] = value
	}
	base, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(base.Close)
	for mode, pooled := range map[string]bool{"its own session": false, "each transaction": true} {
		q, err := NewQueue(base, QueueOptions{Place: understudy.Place{Schema: "any"}, Pooled: pooled})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		for purpose, l := range map[string]struct {
			*lane
			want map[string]string
		}{
			"claims": {q.claims, searchSettings}, "outcomes": {q.records, recordSettings}, "lease": {q.leases, leaseSettings},
		} {
			want := maps.Clone(l.want)
			want["search_path"] = `"any", pg_temp`
			err := l.tx(t.Context(), func(tx pgx.Tx) error {
				for name, value := range want {
					var got *string
					if err := tx.QueryRow(t.Context(), "SELECT current_setting($1, true)", name).Scan(&got); err != nil {
						return err
					}
					if got != nil && *got != value {
						t.Errorf("%s, %s: %s is %s, want %s", purpose, mode, name, *got, value)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
}
