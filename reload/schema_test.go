package reload

import (
	"strings"
	"testing"
)

func TestSchemaIsANameThatNeedsNoQuotes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "_", "production", "preview_6d4f9", "_x9", strings.Repeat("a", 63), "pgx", "public_"} {
		if err := CheckSchema(name); err != nil {
			t.Errorf("CheckSchema(%q) = %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"":                      `schema "" is empty`,
		strings.Repeat("a", 64): "has 64 bytes",
		"Production":            `schema "Production" is not a plain name`,
		"9lives":                "begin with no digit",
		"pre-view":              "is not a plain name",
		"a.b":                   "is not a plain name",
		"a$":                    "is not a plain name",
		"a\"b":                  "is not a plain name",
		"a b":                   "is not a plain name",
		"a\n":                   "is not a plain name",
		"schéma":                "is not a plain name",
		"pg_x":                  "begins with pg_",
		"public":                "is shared with others",
		"information_schema":    "is shared with others",
		"user":                  "is a keyword of SQL",
		"left":                  "is a keyword of SQL",
	} {
		if err := CheckSchema(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckSchema(%q) = %v, want an error with %q", name, err, want)
		}
	}
}

func TestSchemaTemplateTakesLabelsAsTheyAre(t *testing.T) {
	t.Parallel()
	labels := map[string]string{
		"rollouts-pod-template-hash": "6d4f9", "app.kubernetes.io/version": "1.2", "upper": "X", "empty": "",
		"long": strings.Repeat("x", 63),
	}
	for _, c := range []struct{ template, want, err string }{
		{"production", "production", ""},
		{"preview_{rollouts-pod-template-hash}", "preview_6d4f9", ""},
		{"a_{rollouts-pod-template-hash}_{rollouts-pod-template-hash}z", "a_6d4f9_6d4f9z", ""},
		{"p_{missing}", "", `schema "p_{missing}" needs the pod's label "missing", which is missing or empty`},
		{"p_{empty}", "", `needs the pod's label "empty"`},
		{"p_{app.kubernetes.io/version}", "", `schema "p_{app.kubernetes.io/version}" becomes "p_1.2", which is not a plain name`},
		{"p_{upper}", "", `becomes "p_X"`},
		{"p_{long}", "", "has 65 bytes"},
		{"{rollouts-pod-template-hash}", "", "begin with a letter or an underscore"},
		{"p_{", "", "a brace without a partner"},
		{"p_}", "", "a brace without a partner"},
		{"p_{}", "", `holds "{}", which is not a label's key`},
		{"p_{a b}", "", `holds "{a b}"`},
		{"P_{upper}", "", "begin with a letter or an underscore"},
		{"pg_{rollouts-pod-template-hash}", "", "begins with pg_"},
		{"", "", "is empty"},
	} {
		got, err := ExpandSchema(c.template, labels)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("ExpandSchema(%q) = %q, %v; want %q and %q", c.template, got, err, c.want, c.err)
		}
	}
}

func FuzzExpandSchema(f *testing.F) {
	f.Add("preview_{rollouts-pod-template-hash}", "rollouts-pod-template-hash", "6d4f9", "role", "active")
	f.Add("p_{a}_{b}", "a", "1", "b", "2")
	f.Add("{a}", "a", "{b}", "b", "x")
	f.Add("p_{a", "a", "", "}", "{}")
	f.Fuzz(func(t *testing.T, template, k1, v1, k2, v2 string) {
		labels := map[string]string{k1: v1, k2: v2}
		name, err := ExpandSchema(template, labels)
		if err != nil {
			if name != "" || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("ExpandSchema(%q) = %q with error %q", template, name, err)
			}
			return
		}
		if err := CheckSchema(name); err != nil {
			t.Errorf("ExpandSchema(%q) = %q, which %v", template, name, err)
		}
		if problem := templateProblem(template); problem != "" {
			t.Errorf("template %q expands, yet is refused when it is configured: %s", template, problem)
		}
		if !strings.Contains(template, "{") && name != template {
			t.Errorf("plain name %q became %q", template, name)
		}
		// Every label in the template stands in the name as it is.
		for _, key := range templateKeys(template) {
			if !strings.Contains(name, labels[key]) {
				t.Errorf("ExpandSchema(%q, %q) = %q lacks %q", template, labels, name, labels[key])
			}
		}
	})
}
