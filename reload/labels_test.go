package reload

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy/internal/kubelet"
)

func TestLabelsAreReadAsTheKubeletWritesThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]map[string]any{
		"":                                      {},
		"role=\"active\"":                       {"role": "active"},
		"role=\"active\"\n":                     {"role": "active"},
		"role=\"\"":                             {"role": ""},
		"b=\"2\"\na=\"1\"":                      {"a": "1", "b": "2"},
		"example.com/a.b=\"x\"":                 {"example.com/a.b": "x"},
		`note="a=\"b\"\nc\t\\ \u00e9 \xff #no"`: {"note": "a=\"b\"\nc\t\\ é \xff #no"},
	} {
		got, err := LabelsParser{}.Unmarshal([]byte(text))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestGarbledLabelsAreAnErrorThatNamesTheLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"role":                         `line 1: not of the form key="value"`,
		"a=\"1\"\nrole=":               `line 2: value of "role" is not in double quotes`,
		"role=active":                  `line 1: value of "role" is not in double quotes`,
		"role='a'":                     `line 1: value of "role" is not in double quotes`,
		"role=`active`":                `line 1: value of "role" is not in double quotes`,
		"role=\"act":                   `line 1: value of "role" is not quoted as Go quotes a string`,
		"role=\"a\" ":                  `line 1: value of "role" is not quoted as Go quotes a string`,
		"a=\"1\"\n\nb=\"2\"":           `line 2: not of the form key="value"`,
		"a=\"1\"\n\n":                  `line 2: not of the form key="value"`,
		"=\"1\"":                       `line 1: not of the form key="value"`,
		"a b=\"1\"":                    `line 1: not of the form key="value"`,
		"a=\"1\"\r\nb=\"2\"":           `line 1: value of "a" is not quoted as Go quotes a string`,
		"a=\"1\"\nb=\"2\"\na=\"3\"":    `line 3: key "a" stands there twice`,
		"role=\"active\"\x00\x00\x00":  `line 1: value of "role" is not quoted as Go quotes a string`,
		"\x00\x00\x00\x00\x00\x00\x00": `line 1: not of the form key="value"`,
	} {
		got, err := LabelsParser{}.Unmarshal([]byte(text))
		if err == nil || err.Error() != want || got != nil {
			t.Errorf("%q = %v, %v; want error %s", text, got, err, want)
		}
	}
}

func TestLabelsMarshalRefusesWhatIsNoLabel(t *testing.T) {
	t.Parallel()
	for _, labels := range []map[string]any{{"a": 1}, {"a b": "x"}, {"": "x"}, {"a=": "x"}} {
		if got, err := (LabelsParser{}).Marshal(labels); err == nil {
			t.Errorf("Marshal(%v) = %q, want an error", labels, got)
		}
	}
}

// FuzzParseLabels checks that what is parsed is written as the kubelet writes
// it, and that what the kubelet writes is parsed to what it meant.
func FuzzParseLabels(f *testing.F) {
	f.Add("role=\"active\"\nrollouts-pod-template-hash=\"6d4f9\"")
	f.Add("kubernetes.io/config.seen=\"2026-01-02T03:04:05.6Z\"\nkubernetes.io/config.source=\"api\"\nnote=\"a\\n\\\"b\\\" \\xff\"")
	f.Add("role=\"\"\n")
	f.Add("role=active")
	f.Add("a=\"\\u00e9\\U0001f600\"\nb='x'")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := LabelsParser{}.Unmarshal([]byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: error %q is not one line that names the line", text, err)
			}
			return
		}
		labels := map[string]string{}
		for key, value := range parsed {
			labels[key] = value.(string)
		}
		written, err := LabelsParser{}.Marshal(parsed)
		if err != nil || string(written) != kubelet.Labels(labels) {
			t.Fatalf("%v is written as %q, %v; by the kubelet as %q", parsed, written, err, kubelet.Labels(labels))
		}
		again, err := LabelsParser{}.Unmarshal(written)
		if diff := cmp.Diff(parsed, again); err != nil || diff != "" {
			t.Errorf("%q → %q: %v (-first +again):\n%s", text, written, err, diff)
		}
	})
}
