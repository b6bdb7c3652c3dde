package integration_test

import (
	"context"
	"strings"
	"testing"
)

func TestAPodIsNotReadyBeforeItsEpochIsInTheDatabase(t *testing.T) {
	t.Parallel()
	th := onOneServer(t)
	pl := th.production()
	tx, err := pl.pool.Begin(t.Context())
	th.do(err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), pl.sql("LOCK TABLE {schema}.workers IN ACCESS EXCLUSIVE MODE"))
	th.do(err)
	p := th.start("a", "active")
	th.until("it tries to serve", func(context.Context) bool { return strings.Contains(p.process().output(), `"msg":"epoch begins"`) })
	if _, err := p.get(t.Context(), "/health/ready"); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("the readiness probe says %v, want 503", err)
	}
	th.do(tx.Rollback(t.Context()))
	th.untilServes(p, pl, "active")
	th.until("it is ready", p.Ready)
	th.check()
}
