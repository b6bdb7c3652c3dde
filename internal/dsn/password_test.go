package dsn_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-worker/understudy/internal/dsn"
	"github.com/understudy-worker/understudy/internal/pgtest"
)

// passwords are some that SASLprep changes, some that it does not, and some that
// it forbids, which Postgres then takes as they are.
var passwords = []string{
	"plain", "Ⅸ", "I\u00adX", "a\u00adb\u200dc", "pass\u00a0word", "ﬁne", "Å\u2126", "e\u0301", "ñ", "\u0627\u0031", "日本語", "🔑\u00ad", "ª²",
}

// TestPasswordsThatSASLprepChangesWork logs in to a server that keeps passwords
// for SCRAM, and to the same one when it keeps them by md5 as they are written.
func TestPasswordsThatSASLprepChangesWork(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	admin := func(statements ...string) (answer string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		for _, statement := range statements {
			results, err := conn.PgConn().Exec(t.Context(), statement).ReadAll()
			if err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
			if len(results[0].Rows) > 0 {
				answer = string(results[0].Rows[0][0])
			}
		}
		return answer
	}
	// As a rule of pg_hba.conf, md5 is SCRAM for passwords that are kept for it.
	admin("COPY (SELECT 'host all all all md5') TO '" + admin("SHOW hba_file") + "'")
	if err := server.Restart(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"scram-sha-256", "md5"} {
		for i, password := range passwords {
			login := fmt.Sprintf("login_%s_%d", method[:3], i)
			admin("SET password_encryption = '"+method+"'", fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", login, password))
			config, err := dsn.Parse("the DSN", as(server.DSN("postgres"), login, password))
			if err != nil {
				t.Fatal(err)
			}
			pool, err := pgxpool.NewWithConfig(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			var who string
			if err := pool.QueryRow(t.Context(), "SELECT current_user").Scan(&who); err != nil || who != login {
				t.Errorf("%s, password %+q: %v", method, password, err)
			}
			pool.Close()
			wrong, err := dsn.Parse("the DSN", as(server.DSN("postgres"), login, password+"\u00ad!"))
			if err != nil {
				t.Fatal(err)
			}
			if conn, err := pgx.ConnectConfig(t.Context(), wrong.ConnConfig); err == nil || !strings.Contains(err.Error(), "28P01") {
				t.Errorf("%s: a wrong password is let in, %v", method, err)
				if conn != nil {
					_ = conn.Close(t.Context())
				}
			}
		}
	}
}

// as is a DSN with another login.
func as(text, login, password string) string {
	u, err := url.Parse(text)
	if err != nil {
		panic(err) // it is the test server's
	}
	u.User = url.UserPassword(login, password)
	return u.String()
}
