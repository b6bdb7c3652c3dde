package dsn

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// fault is what is wrong with a parameter, and what to do.
type fault struct{ parameter, problem, advice string }

func (f *fault) Error() string { return f.parameter + " " + f.problem + ": " + f.advice }

// rule says what becomes of a parameter of libpq that pgx would pass on to the
// server, which does not know it.
type rule struct {
	harmless []string // values that ask for nothing that is not so anyway
	follow   func(conn *pgx.ConnConfig, dial *net.Dialer, value string) error
	advice   string // where it is refused
}

// rules are by parameter.
// Source: https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-PARAMKEYWORDS
var rules = map[string]rule{
	"keepalives":                {follow: keepAlive(func(k *net.KeepAliveConfig, n int) { k.Enable = n != 0 })},
	"keepalives_idle":           {follow: keepAlive(func(k *net.KeepAliveConfig, n int) { k.Idle = time.Duration(n) * time.Second })},
	"keepalives_interval":       {follow: keepAlive(func(k *net.KeepAliveConfig, n int) { k.Interval = time.Duration(n) * time.Second })},
	"keepalives_count":          {follow: keepAlive(func(k *net.KeepAliveConfig, n int) { k.Count = n })},
	"ssl_min_protocol_version":  {follow: tlsVersion(func(c *tls.Config, version uint16) { c.MinVersion = version })},
	"ssl_max_protocol_version":  {follow: tlsVersion(func(c *tls.Config, version uint16) { c.MaxVersion = version })},
	"fallback_application_name": {follow: applicationName},
	"gssencmode":                {harmless: []string{"disable", "prefer"}, advice: "remove it, and use sslmode to encrypt"},
	"gssdelegation":             {harmless: []string{"0"}, advice: "remove it"},
	"gsslib":                    {harmless: []string{"gssapi"}, advice: "remove it"},
	"load_balance_hosts":        {harmless: []string{"disable"}, advice: "remove it: hosts are tried in their order"},
	"hostaddr":                  {advice: "write the address as host"},
	"replication":               {harmless: []string{"0", "off", "no", "false"}, advice: "remove it: jobs need a normal session"},
	"requiressl":                {harmless: []string{"0"}, advice: "write sslmode=require"},
	"requirepeer":               {advice: "remove it, and let the directory of the socket be writable by the server's user alone"},
	"sslcompression":            {harmless: []string{"0"}, advice: "remove it"},
	"sslcrl":                    {advice: "remove it: revocation lists are not looked at"},
	"sslcrldir":                 {advice: "remove it: revocation lists are not looked at"},
	"sslkeylogfile":             {advice: "remove it"},
	"scram_client_key":          {advice: "remove it, and give the password"},
	"scram_server_key":          {advice: "remove it, and give the password"},
	"oauth_issuer":              {advice: "remove it, and give the login a password or a certificate"},
	"oauth_client_id":           {advice: "remove it, and give the login a password or a certificate"},
	"oauth_client_secret":       {advice: "remove it, and give the login a password or a certificate"},
	"oauth_scope":               {advice: "remove it, and give the login a password or a certificate"},
}

// pgxKnows are the parameters that pgx itself follows.
var pgxKnows = []string{
	"host", "port", "dbname", "database", "user", "password", "passfile", "connect_timeout", "sslmode", "ssl", "sslkey", "sslcert", "sslcertmode",
	"sslrootcert", "sslnegotiation", "sslpassword", "sslsni", "krbspn", "krbsrvname", "target_session_attrs", "service", "servicefile",
	"min_protocol_version", "max_protocol_version", "channel_binding", "require_auth",
	"application_name", "options", "client_encoding", "timezone", "search_path", "tcp_user_timeout",
	"pool_max_conns", "pool_min_conns", "pool_min_idle_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time",
	"pool_health_check_period", "pool_max_conn_lifetime_jitter", "pool_ping_timeout",
	"statement_cache_capacity", "description_cache_capacity", "default_query_exec_mode",
}

// isKnown says whether a parameter is one of libpq's or pgx's.
func isKnown(name string) bool {
	_, ruled := rules[name]
	return ruled || slices.Contains(pgxKnows, name)
}

// translate follows or refuses what pgx would pass on to the server.
func translate(conn *pgx.ConnConfig) error {
	dial := &net.Dialer{Timeout: conn.ConnectTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true}}
	for name, rule := range rules {
		value, given := conn.RuntimeParams[name]
		if !given {
			continue
		}
		delete(conn.RuntimeParams, name)
		switch {
		case value == "" || slices.Contains(rule.harmless, strings.ToLower(value)):
		case rule.follow == nil:
			return &fault{name, "is a parameter of libpq that this program does not follow", rule.advice}
		default:
			if err := rule.follow(conn, dial, value); err != nil {
				return &fault{name, "has a value that there is not", err.Error()}
			}
			conn.DialFunc = dial.DialContext
		}
	}
	return nil
}

// keepAlive sets one of the connection's probes; 0 is the system's own choice.
func keepAlive(set func(k *net.KeepAliveConfig, n int)) func(*pgx.ConnConfig, *net.Dialer, string) error {
	return func(_ *pgx.ConnConfig, dial *net.Dialer, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("use a whole number, without a unit")
		}
		set(&dial.KeepAliveConfig, max(n, 0))
		return nil
	}
}

// tlsVersions are as libpq spells them.
var tlsVersions = map[string]uint16{"tlsv1": tls.VersionTLS10, "tlsv1.1": tls.VersionTLS11, "tlsv1.2": tls.VersionTLS12, "tlsv1.3": tls.VersionTLS13}

func tlsVersion(set func(c *tls.Config, version uint16)) func(*pgx.ConnConfig, *net.Dialer, string) error {
	return func(conn *pgx.ConnConfig, _ *net.Dialer, value string) error {
		version, ok := tlsVersions[strings.ToLower(value)]
		if !ok {
			return fmt.Errorf("use TLSv1.2 or TLSv1.3")
		}
		all := []*tls.Config{conn.TLSConfig}
		for _, fallback := range conn.Fallbacks {
			all = append(all, fallback.TLSConfig)
		}
		for _, c := range all {
			if c != nil {
				set(c, version)
			}
		}
		return nil
	}
}

func applicationName(conn *pgx.ConnConfig, _ *net.Dialer, value string) error {
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = value
	}
	return nil
}
