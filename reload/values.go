package reload

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	understudy "github.com/understudy-worker/understudy"
)

// fault is what is wrong with a value or a name, and what to do about it.
type fault struct{ problem, advice string }

// parser turns a value from a YAML file, or the text of a variable or flag,
// into the type that Config has.
type parser func(value any) (any, *fault)

// text accepts a text that passes check, if there is one.
func text(check func(string) *fault) parser {
	return func(value any) (any, *fault) {
		s, ok := value.(string)
		if !ok {
			return nil, &fault{"not a text", "put it in quotes"}
		}
		if check == nil {
			return s, nil
		}
		return s, check(s)
	}
}

// line drops the line break that a text was read with, as from a file.
func line(parse parser) parser {
	return func(value any) (any, *fault) {
		if s, ok := value.(string); ok {
			value = firstLine(s)
		}
		return parse(value)
	}
}

// duration accepts a duration of at least least.
func duration(least time.Duration) parser {
	return func(value any) (any, *fault) {
		d, err := time.ParseDuration(strings.TrimSpace(fmt.Sprint(value)))
		switch {
		case err != nil:
			return nil, &fault{"not a duration", "write a number and a unit, such as 500ms, 10s or 24h"}
		case d < least && least == 1:
			return nil, &fault{"not positive", "use a duration above zero"}
		case d < least:
			return nil, &fault{"too short", fmt.Sprintf("use at least %s", least)}
		}
		return d, nil
	}
}

// integer accepts a whole number of at least least.
func integer(least int) parser {
	return func(value any) (any, *fault) {
		n, err := strconv.ParseInt(strings.TrimSpace(fmt.Sprint(value)), 10, 32)
		switch {
		case err != nil:
			return nil, &fault{"not a whole number", fmt.Sprintf("use one from %d on", least)}
		case int(n) < least:
			return nil, &fault{"too small", fmt.Sprintf("use at least %d", least)}
		}
		return int(n), nil
	}
}

func boolean(value any) (any, *fault) {
	switch strings.ToLower(strings.TrimSpace(fmt.Sprint(value))) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return nil, &fault{"neither true nor false", "use one of the two"}
}

// choice accepts one of a few words.
func choice(words ...string) parser {
	return func(value any) (any, *fault) {
		for _, w := range words {
			if value == w {
				return w, nil
			}
		}
		return nil, &fault{"unknown", "use " + strings.Join(words, " or ")}
	}
}

// list accepts a list of texts, or one text that commas divide.
func list(value any) (any, *fault) {
	wrong := &fault{"not a list of names", "use [a, b] or a,b"}
	var parts []string
	switch v := value.(type) {
	case string:
		parts = strings.Split(v, ",")
	case []any:
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil, wrong
			}
			parts = append(parts, s)
		}
	default:
		return nil, wrong
	}
	out := []string{}
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out, nil
}

// hostName is a name as a browser asks for it, without scheme and port.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$`)

// hosts accepts a list of names of hosts.
func hosts(value any) (any, *fault) {
	names, wrong := list(value)
	if wrong != nil {
		return nil, wrong
	}
	for _, name := range names.([]string) {
		if !hostName.MatchString(name) {
			return nil, &fault{"not a list of names of hosts", "use names such as jobs.example.com, without scheme and port; addresses need not be listed"}
		}
	}
	return names, nil
}

// anything accepts what belongs to others to understand.
func anything(value any) (any, *fault) { return value, nil }

var targetName = regexp.MustCompile(`^[a-z0-9]+([_-][a-z0-9]+)*$`)

func checkTargetName(name string) *fault {
	if !targetName.MatchString(name) {
		return &fault{"cannot name a target", "use lower-case letters and digits, with single - or _ between"}
	}
	return nil
}

func checkRoleName(name string) *fault {
	if name == "" {
		return &fault{"cannot be a role", "name a role; a pod without one is idle"}
	}
	return checkRole(name)
}

func checkRole(role string) *fault {
	if len(role) > 63 || !labelValue.MatchString(role) {
		return &fault{"cannot be a label's value", "use at most 63 letters, digits, dots, dashes and underscores"}
	}
	return nil
}

func checkRoleLabel(name string) *fault {
	if !labelKey.MatchString(name) {
		return &fault{"cannot be a label's key", "use one such as role or example.com/role"}
	}
	return nil
}

func checkQueueName(name string) *fault { return checkJobName(name, "queue") }
func checkKind(name string) *fault      { return checkJobName(name, "kind of job") }

func checkJobName(name, what string) *fault {
	if name == "" || len(name) > understudy.MaxNameBytes {
		return &fault{"cannot name a " + what, fmt.Sprintf("use 1 to %d bytes", understudy.MaxNameBytes)}
	}
	return nil
}

func checkDSNKey(dsn string) *fault {
	if dsn == "" {
		return nil
	}
	if err := checkDSN(dsn); err != nil {
		return &fault{err.Error(), "the value is not shown here"}
	}
	return nil
}

func checkDSNFile(file string) *fault {
	if looksLikeDSN(file) {
		return &fault{"is a DSN, and not the name of a file with one", "give it as dsn or migrate_dsn, or write it into a file; the value is not shown here"}
	}
	return nil
}

func checkSchemaKey(template string) *fault {
	if template == "" {
		return nil
	}
	if problem := templateProblem(template); problem != "" {
		return &fault{problem: problem}
	}
	return nil
}

func checkAddr(addr string) *fault {
	if addr == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return &fault{"not an address to listen on", "use host:port, such as :8080 or 127.0.0.1:8080"}
	}
	return nil
}
