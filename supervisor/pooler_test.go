package supervisor_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/supervisor"
)

func TestAPoolerThatNobodySpokeOfIsGuessedFromItsErrors(t *testing.T) {
	t.Parallel()
	known := reload.Target{Name: "eu", Pooler: reload.PoolerTransaction}
	for _, c := range []struct {
		err     error
		guessed bool
	}{
		{&pgconn.PgError{Code: "08P01", Message: "unsupported startup parameter: tcp_user_timeout"}, true},
		{&pgconn.PgError{Code: "42P05", Message: `prepared statement "s" already exists`}, true},
		{&pgconn.PgError{Code: "26000", Message: `prepared statement "s" does not exist`}, true},
		{&pgconn.PgError{Code: "08P01", Message: "invalid message format"}, false},
		{errors.New("unsupported startup parameter"), false},
	} {
		err := fmt.Errorf("connect: %w", c.err)
		got := supervisor.ExplainPooler(reload.Target{Name: "eu"}, err)
		if says := strings.Contains(got.Error(), "set targets.eu.pooler to transaction"); says != c.guessed || !errors.Is(got, c.err) {
			t.Errorf("%v becomes %v", err, got)
		}
		if got := supervisor.ExplainPooler(known, err); got != err {
			t.Errorf("with the pooler configured %v becomes %v", err, got)
		}
	}
	if err := supervisor.ExplainPooler(known, nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}
