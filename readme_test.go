package understudy_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// What the README points to is there, and a link to a test names one.
func TestTheReadmesLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`\]\(([^) "]+)(?: "([^"]+)")?\)`).FindAllStringSubmatch(string(readme), -1)
	if len(links) < 10 {
		t.Fatalf("found %d links, which are too few to be all", len(links))
	}
	for _, link := range links {
		path, test := link[1], link[2]
		info, err := os.Stat(path)
		if err != nil {
			t.Errorf("the README links to %s: %v", path, err)
			continue
		}
		if test == "" || info.IsDir() {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), "func "+test+"(") {
			t.Errorf("the README links to %s in %s, which has no such test", test, path)
		}
	}
}
