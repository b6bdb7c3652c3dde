package dsn

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Parse is what a DSN says, together with libpq's variables and files: see
// pgconn.ParseConfig. Parameters of libpq that pgx does not know are followed, or
// refused by name. key is what errors call the DSN, such as targets.production.dsn.
func Parse(key, text string) (*pgxpool.Config, error) {
	if misleading(text) {
		return nil, malformed(key)
	}
	config, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, explain(key, text, err)
	}
	conn := config.ConnConfig
	hosts := []string{conn.Host}
	for _, fallback := range conn.Fallbacks {
		hosts = append(hosts, fallback.Host)
	}
	for _, host := range hosts {
		if !plausibleHost.MatchString(host) {
			return nil, malformed(key)
		}
	}
	if err := translate(conn); err != nil {
		return nil, place(key, text, err)
	}
	conn.AfterNetConnect = preparePassword
	return config, nil
}

// plausibleHost is a name, an address or the directory of a socket. What stands
// in a password unescaped ends up where a host is looked for.
var plausibleHost = regexp.MustCompile(`^([A-Za-z0-9._:%-]+|/[^@]*|@[^@]*|[A-Za-z]:\\.*)$`)

// misleading says whether a URL is one that a parser takes apart elsewhere than
// its author thinks: a character of the password that should have been %XX ends
// the login, and what comes behind is taken for a port, a database or a parameter.
func misleading(text string) bool {
	rest, isURL := afterScheme(text)
	if !isURL {
		return false
	}
	end := strings.IndexAny(rest, "@/")
	login := end >= 0 && rest[end] == '@'
	if login {
		rest = rest[end+1:]
	}
	path, query, _ := strings.Cut(rest, "?")
	if strings.Contains(path, "@") {
		return true
	}
	for _, pair := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if strings.Contains(name, "@") || !login && strings.Contains(value, "@") && !isKnown(name) {
			return true
		}
	}
	return false
}

// afterScheme is a URL without its scheme.
func afterScheme(text string) (rest string, isURL bool) {
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if rest, isURL = strings.CutPrefix(text, scheme); isURL {
			return rest, true
		}
	}
	return "", false
}

// malformed is the error of a DSN of which nothing can be repeated.
func malformed(key string) error {
	return fmt.Errorf("%s cannot be parsed: use postgres://login:password@host:5432/database, with %%XX for special characters in the password", key)
}
