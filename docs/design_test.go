package docs_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/understudy-worker/understudy"

func TestPackagesImportWhatTheDesignSays(t *testing.T) {
	t.Parallel()
	table := rows(read(t, "design.md"), "package | does one thing | imports of ours")
	if len(table) == 0 {
		t.Fatal("design.md has no table of packages")
	}
	for _, cells := range table {
		name := strings.Trim(cells[0], "`")
		var want []string
		for _, cell := range strings.Split(cells[2], ", ") {
			if cell != "none" {
				want = append(want, strings.Trim(cell, "`"))
			}
		}
		if diff := cmp.Diff(want, imports(t, filepath.Join("..", name))); diff != "" {
			t.Errorf("imports of %s (-the document +the code):\n%s", name, diff)
		}
	}
}

// imports lists the packages of this module that the Go files of a directory
// import, but for its tests.
func imports(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s holds no Go files, error %v", dir, err)
	}
	var all []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range parsed.Imports {
			path, ours := strings.CutPrefix(strings.Trim(imported.Path.Value, `"`), module)
			if path = strings.TrimPrefix(path, "/"); ours && path == "" {
				path = "."
			}
			if ours {
				all = append(all, path)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

var (
	link       = regexp.MustCompile(`\]\(([^)#: ]+)[^):]*\)`)
	quotedFile = regexp.MustCompile("`([a-z]+(?:/[a-z0-9_]+)*/[a-z0-9_]+\\.(?:go|sql|md))`")
)

func TestFilesThatTheDocumentsNameAreThere(t *testing.T) {
	t.Parallel()
	for _, document := range documents(t) {
		text := read(t, document)
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(match[1]); err != nil {
				t.Errorf("%s: link: %v", document, err)
			}
		}
		for _, match := range quotedFile.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", match[1])); err != nil {
				t.Errorf("%s: %v", document, err)
			}
		}
	}
}
