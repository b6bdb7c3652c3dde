package handlers

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-worker/understudy"
)

// maxKillGrace bounds kill_grace. It stays well below the worker's hard stop (10s
// by default), past which a handler that has not returned ends the process.
const maxKillGrace = 5 * time.Second

// commandForm shows how a command is written.
const commandForm = `["python3", "job.py"]`

// readProgram is what the settings say about the program to run.
func readProgram(s *settings) program {
	dir := directory(s)
	command := s.list("command", commandForm)
	if s.err == nil && (len(command) == 0 || command[0] == "") {
		s.wrong("command", "missing: give the program and its arguments as a list, such as %s", commandForm)
	}
	grace := s.duration("kill_grace", 2*time.Second)
	if grace > maxKillGrace {
		s.wrong("kill_grace", "%s is too long, a drain waits for it: use at most %s", grace, maxKillGrace)
	}
	p := program{dir: dir, env: environment(s, dir), grace: grace, limit: s.bytes("max_output_bytes", 1<<20)}
	if s.err == nil {
		p.path, p.args = find(s, command[0], dir), command
	}
	return p
}

// directory is the directory to run in, absolute; empty for the worker's.
func directory(s *settings) string {
	dir := s.text("dir")
	if dir == "" {
		return ""
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		s.wrong("dir", "%v: name a directory that exists", err)
	case !info.IsDir():
		s.wrong("dir", "%s is no directory: name one", dir)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		s.wrong("dir", "%v: give an absolute path", err)
	}
	return absolute
}

// find is the program's absolute path. A name is looked up in the worker's
// PATH; a relative path starts at dir.
func find(s *settings, name, dir string) string {
	path := name
	if strings.Contains(name, "/") && !filepath.IsAbs(name) {
		path, _ = filepath.Abs(filepath.Join(dir, name))
	}
	found, err := exec.LookPath(path)
	if err != nil {
		s.wrong("command", "program %q is not found or cannot be run: install it, or give its absolute path", name)
	}
	return found
}

// secretVariables are variables that hold a secret of the worker's, or lead to one:
// of libpq, and of OpenTelemetry's exporters. A program that needs one is given it
// by env.
var secretVariables = []string{
	"PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE", "PGSSLPASSWORD", "PGSSLKEY", "PGSSLCERT", "PGOAUTHCLIENTSECRET",
	"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
	"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
}

// isWorkersOwn says whether a variable is for the worker alone.
func isWorkersOwn(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return strings.HasPrefix(name, "UNDERSTUDY_") || slices.Contains(secretVariables, name)
}

// environment is what every run of the program gets: the worker's variables
// but its own settings and secrets, and those that the configuration adds.
func environment(s *settings, dir string) []string {
	env := slices.DeleteFunc(os.Environ(), isWorkersOwn)
	if dir != "" {
		env = append(env, "PWD="+dir)
	}
	given := s.table("env", `{LANG: C.UTF-8}`)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			s.wrong("env", "%q is no name of a variable: use letters, digits and underscores", name)
		case strings.Contains(given[name], "\x00"):
			s.wrong("env."+name, "the value holds a zero byte: remove it")
		case isFactVariable(name):
			s.wrong("env."+name, "is set by the worker: remove it")
		}
		env = append(env, name+"="+given[name])
	}
	return env
}

// isFactVariable says whether a variable is one that tells about the job.
func isFactVariable(name string) bool {
	return slices.ContainsFunc(facts(&understudy.Job{}, understudy.Place{}), func(f fact) bool {
		return f.variable() == name
	})
}

// exitCodes are the exit codes that discard a job.
func exitCodes(s *settings) []int {
	var codes []int
	for _, text := range s.list("discard_exit_codes", "[65, 100]") {
		code, err := strconv.Atoi(text)
		if err != nil || code < 1 || code > 255 {
			s.wrong("discard_exit_codes", "%q is no exit code of a failure: use numbers from 1 to 255", text)
		}
		codes = append(codes, code)
	}
	return codes
}
