package pgserver

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// BinVariable names the environment variable that holds the directory of the
// server binaries. It comes before every other place.
const BinVariable = "UNDERSTUDY_POSTGRES_BIN"

// ErrNotFound says that this machine has no Postgres server binaries, and
// what to install.
var ErrNotFound = errors.New("no Postgres server binaries (initdb and postgres) on this machine: install them" +
	" (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server;" +
	" Alpine: apk add postgresql; macOS: brew install postgresql@17)" +
	" or set " + BinVariable + " to the directory they are in")

// debianBins is where Debian and Ubuntu keep one directory per version.
const debianBins = "/usr/lib/postgresql/*/bin"

// otherBins are the places looked at when neither Debian's directories nor
// PATH hold the binaries: PGDG's packages, Homebrew on either kind of Mac,
// and Postgres.app.
var otherBins = []string{
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// Find returns the directory of the Postgres server binaries: the one that
// $UNDERSTUDY_POSTGRES_BIN names, else the highest version that Debian's
// packages installed, else the one on PATH or that pg_config on PATH names,
// else the highest version in other usual places. The error is ErrNotFound
// when there is none.
func Find() (bindir string, err error) {
	if dir := os.Getenv(BinVariable); dir != "" {
		if err := checkBindir(dir); err != nil {
			return "", fmt.Errorf("%s: %w", BinVariable, err)
		}
		return filepath.Abs(dir)
	}
	candidates := newestFirst(debianBins)
	candidates = append(candidates, onPath()...)
	for _, pattern := range otherBins {
		candidates = append(candidates, newestFirst(pattern)...)
	}
	return firstBindir(candidates)
}

// firstBindir returns the first directory that holds the binaries.
func firstBindir(candidates []string) (string, error) {
	for _, dir := range candidates {
		if checkBindir(dir) == nil {
			return dir, nil
		}
	}
	return "", ErrNotFound
}

// checkBindir says what is wrong with a directory as the server's bindir.
func checkBindir(dir string) error {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("directory %q holds no program %s: name the bin directory of a Postgres server", dir, name)
		}
	}
	return nil
}

// newestFirst lists the directories that match, the highest version first.
func newestFirst(pattern string) []string {
	dirs, err := filepath.Glob(pattern)
	if err != nil {
		return nil // only a malformed pattern, and ours are constants
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	return dirs
}

var versionDigits = regexp.MustCompile(`\d+(\.\d+)?`)

// version is the last number in a path, 0 when there is none.
func version(path string) float64 {
	numbers := versionDigits.FindAllString(path, -1)
	if len(numbers) == 0 {
		return 0
	}
	v, err := strconv.ParseFloat(numbers[len(numbers)-1], 64)
	if err != nil {
		return 0
	}
	return v
}

// onPath lists the directories that PATH leads to: the postgres program's,
// behind its symbolic links, and the one that pg_config names.
func onPath() []string {
	var dirs []string
	if program, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(program))
		if real, err := filepath.EvalSymlinks(program); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	return dirs
}
