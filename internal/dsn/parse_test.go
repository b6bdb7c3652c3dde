package dsn_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-worker/understudy/internal/dsn"
)

const key = "targets.production.dsn"

// TestNothingOfAMalformedDSNIsRepeated puts characters into a password that
// should have been %XX, and misquotes it, in all the ways that move the rest of
// it to where a host, a port, a database or a parameter is looked for.
func TestNothingOfAMalformedDSNIsRepeated(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"postgres://u:p@TOPSECRET@127.0.0.1:1/db",
		"postgresql://u:p@TOPSECRET@127.0.0.1:1/db",
		"postgres://u:p@@TOPSECRET@h/db",
		"postgres://u:12/TOPSECRET@127.0.0.1:1/db",
		"postgres://u:x/TOPSECRET@h/db",
		"postgres://u:12/TOP?SECRET=TOPSECRET@h/db",
		"postgres://u:12/a?TOPSECRET@h/db",
		"postgres://u:12/a?b=TOPSECRET@h/db",
		"postgres://u:p@a/TOPSECRET@h/db",
		"postgres://u:p@a?TOPSECRET@h/db",
		"postgres://u:p@a#TOPSECRET@h/db",
		"postgres://u:p@[TOPSECRET@h/db",
		"postgres://u:p@TOP SECRET@h/db",
		"postgres://u:TOPSECRET%zz@h/db",
		"postgres://u:%TOPSECRET@h/db",
		"postgres://u:p@h:TOPSECRET/db",
		"postgres://u:p@h/db?password=%TOPSECRET",
		"postgres://u:p@h/db?TOPSECRET",
		"host=h password=a TOPSECRET",
		"host=h password='TOPSECRET",
		"host=h password='it's TOPSECRET' dbname=db",
		"host=h port=TOPSECRET",
		"host=h password=a\\",
		"host='h TOPSECRET@x' password=a",
		"password=TOPSECRET host=h@TOPSECRET",
		"postgres://u:p@h:1,TOPSECRET:2,x:3@y/db",
		"host=a,b port=1,2,3 password=TOPSECRET",
		"host=h sslmode=TOPSECRET",
		"host=h connect_timeout=TOPSECRET",
		"host=h require_auth=TOPSECRET",
		"host=h target_session_attrs=TOPSECRET",
		"host=h pool_max_conns=TOPSECRET",
		"host=h default_query_exec_mode=TOPSECRET",
		"host=h keepalives_idle=TOPSECRET",
		"host=h requirepeer=TOPSECRET",
		"host=h ssl_min_protocol_version=TOPSECRET",
		"host=h password=TOPSECRET sslmode=verify-full sslrootcert=/nowhere",
	} {
		config, err := dsn.Parse(key, text)
		switch {
		case err == nil && strings.HasSuffix(text, `\`): // libpq takes a backslash at the end
		case err == nil:
			t.Errorf("%s is taken: host %q, database %q", text, config.ConnConfig.Host, config.ConnConfig.Database)
		case strings.Contains(err.Error(), "SECRET"), strings.Contains(err.Error(), "\n"), !strings.HasPrefix(err.Error(), key):
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPasswordsWithOddCharactersAreTaken(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"postgres://u:p%40x%2Fy%3Fz%23@h/db":                "p@x/y?z#",
		"postgres://u:a:b@h/db":                             "a:b",
		"postgres://u:a?b@h/db":                             "a?b",
		"postgres://u:a#b@h/db":                             "a#b",
		"postgres://u:a=b&c@h/db":                           "a=b&c",
		"postgres://h/db?user=me@corp.example&password=a@b": "a@b",
		"postgres://u@h/db?password=a@b":                    "a@b",
		"host=h password='a b@c/d' dbname=db":               "a b@c/d",
		`host=h password=a\ b`:                              "a b",
	} {
		if config, err := dsn.Parse(key, text); err != nil || config.ConnConfig.Password != want {
			t.Errorf("%s: %v, want the password %q", text, err, want)
		}
	}
	for _, host := range []string{"db", "db.example.com", "db_1", "10.0.0.1", "[::1]", "[fe80::1%25eth0]", "%2Fvar%2Frun%2Fpostgresql", "a,b:5433"} {
		if _, err := dsn.Parse(key, "postgres://u:p@"+host+"/db"); err != nil {
			t.Errorf("host %s: %v", host, err)
		}
	}
}

// TestAnErrorNamesTheParameterOrFile has DSNs that are right, and name what is
// missing or misspelt.
func TestAnErrorNamesTheParameterOrFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty, absent := file("empty.crt", ""), filepath.Join(dir, "absent.crt")
	services := file("services", "[other]\nhost=h\n")
	garbled := file("garbled", "host=h\n[jobs]\n")
	for _, c := range []struct{ query, want string }{
		{"sslmode=verify-full&sslrootcert=" + absent, `sslrootcert names "` + absent + `", which cannot be read, no such file or directory: see that the Secret or ConfigMap is mounted there`},
		{"sslmode=verify-full&sslrootcert=" + dir, `sslrootcert names "` + dir + `", which cannot be read, is a directory`},
		{"sslmode=verify-full&sslrootcert=" + empty, `sslrootcert names "` + empty + `", which holds no certificate: put the CA's certificate into it, in PEM`},
		{"sslmode=require&sslcert=" + empty, `sslcert and sslkey go together, and one is missing: give both, or neither`},
		{"sslmode=require&sslkey=" + empty, `sslcert and sslkey go together`},
		{"sslmode=require&sslcert=" + empty + "&sslkey=" + absent, `sslkey names "` + absent + `", which cannot be read, no such file`},
		{"sslmode=require&sslcert=" + absent + "&sslkey=" + empty, `sslkey names "` + empty + `", which holds no key`},
		{"sslmode=verify_full", `sslmode has a value that there is not: use disable, allow, prefer, require, verify-ca or verify-full`},
		{"target_session_attrs=readwrite", `target_session_attrs has a value that there is not: use any, read-write`},
		{"channel_binding=yes", `channel_binding has a value that there is not: use disable, prefer or require`},
		{"require_auth=scram", `require_auth has a value that there is not`},
		{"sslcertmode=no", `sslcertmode has a value that there is not`},
		{"connect_timeout=5s", `connect_timeout has a value that there is not: use seconds, without a unit`},
		{"min_protocol_version=4", `min_protocol_version has a value that there is not`},
		{"min_protocol_version=3.2&max_protocol_version=3.0", `min_protocol_version has a value that there is not`},
		{"pool_max_conns=many", `pool_max_conns has a value that there is not`},
		{"pool_max_conns=0", `pool_max_conns has a value that there is not`},
		{"pool_max_conn_lifetime=5", `pool_max_conn_lifetime has a value that there is not: use a number, or a duration such as 30s`},
		{"default_query_exec_mode=fast", `default_query_exec_mode has a value that there is not: use cache_statement`},
		{"statement_cache_capacity=x", `statement_cache_capacity has a value that there is not`},
		{"port=many", `port is not one: use 1 to 65535`},
		{"port=1,2", `port is a list of another length than host`},
		{"service=jobs&servicefile=" + absent, `service is looked for in "` + absent + `", which cannot be read, no such file or directory: name the file in servicefile or PGSERVICEFILE`},
		{"service=jobs&servicefile=" + services, `service names "jobs", which is not in "` + services + `": add it there, or name another`},
		{"service=jobs&servicefile=" + garbled, `service is looked for in "` + garbled + `", which is no service file`},
		{"gssencmode=require", `gssencmode is a parameter of libpq that this program does not follow: remove it, and use sslmode to encrypt`},
		{"load_balance_hosts=random", `load_balance_hosts is a parameter of libpq that this program does not follow: remove it: hosts are tried in their order`},
		{"requirepeer=postgres", `requirepeer is a parameter of libpq that this program does not follow`},
		{"sslcompression=1", `sslcompression is a parameter of libpq`},
		{"sslcrl=/x", `sslcrl is a parameter of libpq`},
		{"hostaddr=10.0.0.1", `hostaddr is a parameter of libpq that this program does not follow: write the address as host`},
		{"replication=database", `replication is a parameter of libpq`},
		{"keepalives_idle=10s", `keepalives_idle has a value that there is not: use a whole number, without a unit`},
		{"ssl_min_protocol_version=1.2", `ssl_min_protocol_version has a value that there is not: use TLSv1.2 or TLSv1.3`},
	} {
		for form, text := range map[string]string{
			"URL":   "postgres://login:hunter2@127.0.0.1:1/db?" + c.query,
			"words": "host=127.0.0.1 user=login password=hunter2 " + strings.ReplaceAll(c.query, "&", " "),
		} {
			_, err := dsn.Parse(key, text)
			if err == nil || !strings.HasPrefix(err.Error(), key+": "+c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s, %s: %v\nwant %s: %s", form, c.query, err, key, c.want)
			}
		}
	}
}

func TestWhatLibpqTakesIsFollowedAndNotSentToTheServer(t *testing.T) {
	t.Parallel()
	config, err := dsn.Parse(key, "postgres://login@127.0.0.1:1/db?keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3&gssencmode=disable"+
		"&load_balance_hosts=disable&sslcompression=0&replication=false&fallback_application_name=shop&ssl_min_protocol_version=TLSv1.3&krbsrvname=postgres&work_mem=1MB")
	if err != nil {
		t.Fatal(err)
	}
	conn := config.ConnConfig
	if got := conn.RuntimeParams; len(got) != 2 || got["application_name"] != "shop" || got["work_mem"] != "1MB" {
		t.Errorf("the server is sent %v, want application_name and work_mem", got)
	}
	if conn.TLSConfig == nil || conn.TLSConfig.MinVersion != tls.VersionTLS13 {
		t.Errorf("TLS is %+v, want at least 1.3", conn.TLSConfig)
	}
	if config, err := dsn.Parse(key, "host=h application_name=a fallback_application_name=b"); err != nil || config.ConnConfig.RuntimeParams["application_name"] != "a" {
		t.Errorf("fallback_application_name goes before application_name: %v", err)
	}
}
