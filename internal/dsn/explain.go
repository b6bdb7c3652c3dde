package dsn

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Variables of libpq that give a parameter where the DSN does not.
var variables = map[string]string{
	"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "sslcertmode": "PGSSLCERTMODE",
	"sslpassword": "PGSSLPASSWORD", "service": "PGSERVICE", "servicefile": "PGSERVICEFILE", "port": "PGPORT", "host": "PGHOST",
	"connect_timeout": "PGCONNECT_TIMEOUT", "target_session_attrs": "PGTARGETSESSIONATTRS", "channel_binding": "PGCHANNELBINDING",
	"require_auth": "PGREQUIREAUTH", "min_protocol_version": "PGMINPROTOCOLVERSION", "max_protocol_version": "PGMAXPROTOCOLVERSION",
}

// values are what a parameter can be, where that is a few words.
var values = map[string]string{
	"sslmode":                 "use disable, allow, prefer, require, verify-ca or verify-full",
	"sslcertmode":             "use disable, allow or require",
	"target_session_attrs":    "use any, read-write, read-only, primary, standby or prefer-standby",
	"channel_binding":         "use disable, prefer or require",
	"require_auth":            "use methods such as scram-sha-256, divided by commas",
	"connect_timeout":         "use seconds, without a unit",
	"min_protocol_version":    "use 3.0 or 3.2",
	"max_protocol_version":    "use 3.0, 3.2 or latest",
	"default_query_exec_mode": "use cache_statement, cache_describe, describe_exec, exec or simple_protocol",
}

// explain says what is wrong with a DSN that pgx does not take. Of pgx's own
// text only what is known to be no part of a password is repeated.
func explain(key, text string, err error) error {
	var parsing *pgconn.ParseConfigError
	if !errors.As(err, &parsing) {
		return malformed(key)
	}
	said := parsing.Error()
	said = said[strings.LastIndex(said, "`: ")+len("`: "):]
	if f := diagnose(text, said, parsing.Unwrap()); f != nil {
		return place(key, text, f)
	}
	return malformed(key)
}

// aboutParameter finds the parameter that pgx says has a wrong value.
var aboutParameter = regexp.MustCompile(`^(?:invalid |unknown |cannot parse )?([a-z]+_[a-z_]+|sslcertmode)\b`)

func diagnose(text, said string, cause error) *fault {
	switch {
	case strings.HasPrefix(said, "failed to configure TLS"):
		return diagnoseTLS(text, cause)
	case strings.HasPrefix(said, "failed to read service"):
		return diagnoseService(text)
	case strings.HasPrefix(said, "could not match"):
		return &fault{"port", "is a list of another length than host", "give one port, or one for each host"}
	case strings.HasPrefix(said, "invalid port"):
		if given, _ := lookUp(text, "port"); given == "" {
			return nil // in a URL it may be a piece of the password
		}
		return &fault{"port", "is not one", "use 1 to 65535"}
	}
	found := aboutParameter.FindStringSubmatch(said)
	if found == nil || !isKnown(found[1]) {
		return nil
	}
	advice := values[found[1]]
	if advice == "" {
		advice = "use a number, or a duration such as 30s"
	}
	return &fault{found[1], "has a value that there is not", advice}
}

// diagnoseTLS names the parameter and the file that TLS cannot be set up with.
func diagnoseTLS(text string, cause error) *fault {
	if cause == nil {
		return nil
	}
	file := func(parameter, problem, advice string) *fault {
		name, _ := lookUp(text, parameter)
		if pathErr := (*fs.PathError)(nil); errors.As(cause, &pathErr) {
			name, problem = pathErr.Path, "cannot be read, "+pathErr.Err.Error()
		}
		return &fault{parameter, fmt.Sprintf("names %q, which %s", name, problem), advice}
	}
	const mounted = "see that the Secret or ConfigMap is mounted there, and has a key of that name"
	switch said := cause.Error(); {
	case strings.Contains(said, "CA file"):
		return file("sslrootcert", "", mounted)
	case strings.Contains(said, "add CA"):
		return file("sslrootcert", "holds no certificate", "put the CA's certificate into it, in PEM")
	case strings.Contains(said, "sslmode is invalid"):
		return &fault{"sslmode", "has a value that there is not", values["sslmode"]}
	case strings.Contains(said, "are required"):
		return &fault{"sslcert and sslkey", "go together, and one is missing", "give both, or neither"}
	case strings.Contains(said, "read sslkey"):
		return file("sslkey", "", mounted)
	case strings.Contains(said, "decode sslkey"):
		return file("sslkey", "holds no key", "put the key into it, in PEM")
	case strings.Contains(said, "sslpassword"):
		return file("sslkey", "is encrypted", "give sslpassword")
	case strings.Contains(said, "decrypt key"):
		return file("sslkey", "sslpassword does not decrypt", "correct sslpassword")
	case strings.Contains(said, "read cert"):
		return file("sslcert", "", mounted)
	case strings.Contains(said, "load cert"):
		return file("sslcert", "is no certificate of the key in sslkey", "give the two that belong together, in PEM")
	case strings.Contains(said, "system certificate pool"):
		return &fault{"sslrootcert", "is system, and this system has no certificates", "install them, or name a file"}
	}
	return nil
}

// diagnoseService says which of file and service is not there.
func diagnoseService(text string) *fault {
	file, _ := lookUp(text, "servicefile")
	if home, err := os.UserHomeDir(); err == nil && file == "" {
		file = home + "/.pg_service.conf"
	}
	service, _ := lookUp(text, "service")
	data, err := os.ReadFile(file)
	var pathErr *fs.PathError
	switch {
	case errors.As(err, &pathErr):
		return &fault{"service", fmt.Sprintf("is looked for in %q, which cannot be read, %v", file, pathErr.Err), "name the file in servicefile or PGSERVICEFILE"}
	case !strings.Contains(string(data), "["+service+"]"):
		return &fault{"service", fmt.Sprintf("names %q, which is not in %q", service, file), "add it there, or name another"}
	}
	return &fault{"service", fmt.Sprintf("is looked for in %q, which is no service file", file), "write [service], and name=value below it"}
}

// place is a fault together with what gave the parameter: the DSN, or a variable.
func place(key, text string, err error) error {
	f, ok := err.(*fault)
	if !ok {
		return malformed(key)
	}
	name, _, _ := strings.Cut(f.parameter, " ")
	if _, from := lookUp(text, name); from != "" {
		key = from + ", which goes with " + key
	}
	return fmt.Errorf("%s: %w", key, f)
}

// lookUp is the value of a parameter. from is the variable that gives it, "" for
// the DSN, or for what neither gives.
func lookUp(text, name string) (value, from string) {
	if value, given := inDSN(text, name); given {
		return value, ""
	}
	if value := os.Getenv(variables[name]); variables[name] != "" && value != "" {
		return value, variables[name]
	}
	return "", ""
}

func inDSN(text, name string) (value string, given bool) {
	if rest, isURL := afterScheme(text); isURL {
		if end := strings.IndexAny(rest, "@/"); end >= 0 && rest[end] == '@' {
			rest = rest[end+1:]
		}
		_, query, _ := strings.Cut(rest, "?")
		all, _ := url.ParseQuery(query) // what cannot be parsed is left out
		return all.Get(name), all.Has(name)
	}
	found := regexp.MustCompile(`(?:^|\s)` + name + `\s*=\s*('(?:[^'\\]|\\.)*'|\S*)`).FindStringSubmatch(text)
	if found == nil {
		return "", false
	}
	return strings.Trim(found[1], "'"), true
}
