package reload

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	koanfmaps "github.com/knadh/koanf/maps"
	"go.yaml.in/yaml/v3"
)

// parseYAML reads the one mapping that a YAML text is to hold. Documents that
// are empty, before it or after it, do not count; another one that is not would
// be dropped, and is a fault. A text without any is an empty mapping. A fault
// quotes nothing of the text: there may be passwords.
func parseYAML(data []byte) (map[string]any, *fault) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	tree := map[string]any{}
	for found := false; ; {
		var document yaml.Node
		err := decoder.Decode(&document)
		switch {
		case errors.Is(err, io.EOF):
			koanfmaps.IntfaceKeysToStrings(tree) // a queue may be called 1, and a role true
			return tree, nil
		case err != nil:
			return nil, yamlError(data, err)
		case isEmpty(&document):
			continue
		case found:
			return nil, secondDocument(document.Line)
		}
		found = true
		if err := document.Decode(&tree); err != nil {
			return nil, yamlError(data, err)
		}
	}
}

// isEmpty says whether a document holds nothing but comments.
func isEmpty(document *yaml.Node) bool {
	return len(document.Content) == 0 || document.Content[0].ShortTag() == "!!null"
}

func secondDocument(line int) *fault {
	return &fault{fmt.Sprintf("line %d begins a second YAML document", line), "put its keys into the first, and remove the line that divides them"}
}

// yamlLine finds where in a text the parser stopped.
var yamlLine = regexp.MustCompile(`line ([0-9]+)`)

// yamlError is the parser's error without what it says of the text itself.
func yamlError(data []byte, err error) *fault {
	line := 0
	if place := yamlLine.FindStringSubmatch(err.Error()); place != nil {
		line, _ = strconv.Atoi(place[1]) // it is digits; what overflows is as good as none
	}
	f := &fault{"not a YAML mapping", "write keys and values, such as version: \"1.0\""}
	if line > 0 {
		f.advice = fmt.Sprintf("look at line %d", line)
	}
	switch text := err.Error(); {
	case strings.Contains(text, "expected <document start>"):
		return secondDocument(line + 1) // the parser counts lines from 0 here
	case strings.Contains(text, "already defined"):
		f.advice += ": a key stands there a second time"
	case tabbed(data, line):
		f.advice += ": a tab indents it, use spaces"
	}
	return f
}

// tabbed says whether a tab is part of the indentation of a line.
func tabbed(data []byte, line int) bool {
	lines := bytes.Split(data, []byte("\n"))
	if line < 1 || line > len(lines) {
		return false
	}
	text := lines[line-1]
	return bytes.ContainsRune(text[:len(text)-len(bytes.TrimLeft(text, " \t"))], '\t')
}
