package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of a document, or a comment that tells the test to
// do something.
type block struct {
	line int    // where it begins
	kind string // the fence's language, or "test" for a comment
	text string
}

var testComment = regexp.MustCompile(`^<!-- test: (.*) -->$`)

// blocks are the blocks of a document in order.
func blocks(document string) []block {
	var all []block
	var open *block
	for i, line := range strings.Split(document, "\n") {
		language, fence := strings.CutPrefix(line, "```")
		comment := testComment.FindStringSubmatch(line)
		switch {
		case fence && open == nil:
			open = &block{line: i + 1, kind: language}
		case fence:
			all, open = append(all, *open), nil
		case open != nil:
			open.text += line + "\n"
		case comment != nil:
			all = append(all, block{line: i + 1, kind: "test", text: comment[1]})
		}
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// rows are the cells of the first table with that header.
func rows(document, header string) [][]string {
	_, rest, _ := strings.Cut(document, "| "+header+" |\n")
	var all [][]string
	for i, line := range strings.Split(rest, "\n") {
		inner, isRow := strings.CutPrefix(line, "| ")
		if i > 0 && !isRow {
			break
		}
		if i > 0 { // behind the rule
			all = append(all, strings.Split(strings.TrimSuffix(inner, " |"), " | "))
		}
	}
	return all
}

// documents are the files in this directory.
func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents are found, error %v", err)
	}
	return files
}
