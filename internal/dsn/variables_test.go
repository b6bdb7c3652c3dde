package dsn_test

import (
	"strings"
	"testing"

	"github.com/understudy-worker/understudy/internal/dsn"
)

// TestAnErrorNamesTheVariable is not parallel: variables are the process's.
func TestAnErrorNamesTheVariable(t *testing.T) {
	for variable, c := range map[string]struct{ value, want string }{
		"PGSSLMODE":            {"on", "PGSSLMODE, which goes with targets.production.dsn: sslmode has a value that there is not"},
		"PGSSLROOTCERT":        {"/nowhere/ca.crt", `PGSSLROOTCERT, which goes with targets.production.dsn: sslrootcert names "/nowhere/ca.crt", which cannot be read`},
		"PGTARGETSESSIONATTRS": {"rw", "PGTARGETSESSIONATTRS, which goes with targets.production.dsn: target_session_attrs has"},
		"PGCONNECT_TIMEOUT":    {"5s", "PGCONNECT_TIMEOUT, which goes with targets.production.dsn: connect_timeout has"},
		"PGSERVICEFILE":        {"/nowhere/services", `service is looked for in "/nowhere/services", which cannot be read`},
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, c.value)
			text := "postgres://login:hunter2@127.0.0.1:1/db"
			if variable == "PGSERVICEFILE" {
				text += "?service=jobs"
			}
			if _, err := dsn.Parse(key, text); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
