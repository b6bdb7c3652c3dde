package reload

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxNameBytes is the length of the longest Postgres identifier; the server
// would silently cut a longer one short (NAMEDATALEN - 1).
const maxNameBytes = 63

var (
	schemaName   = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	placeholder  = regexp.MustCompile(`\{([^{}]*)\}`)
	labelKey     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$`)
	labelValue   = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$`)
	templateHead = regexp.MustCompile(`^[a-z_]`)
)

// keywords are the words that a Postgres schema cannot be called without
// quotes: pg_get_keywords() of Postgres 15, categories R and T.
var keywords = strings.Fields(`
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc
distinct do else end except false fetch for foreign from grant group having in initially intersect into lateral
leading limit localtime localtimestamp not null offset on only or order placing primary references returning
select session_user some symmetric table then to trailing true union unique user using variadic when where window
with authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull join left
like natural notnull outer overlaps right similar tablesample verbose`)

// CheckSchema says whether name can be a schema of jobs: 1 to 63 bytes of
// lower-case letters, digits and underscores that do not begin with a digit.
// Such a name reads the same with and without quotes, so that what is typed in
// psql is what the worker uses, and two different names are never one schema.
// Nothing is folded or replaced to make a name fit. Keywords that would need
// quotes and Postgres' own schemas are refused.
func CheckSchema(name string) error {
	if problem := schemaProblem(name); problem != "" {
		return fmt.Errorf("schema %q %s", shown(name), problem)
	}
	return nil
}

// schemaProblem is what is wrong with a schema's name, "" if nothing is.
func schemaProblem(name string) string {
	switch {
	case name == "":
		return "is empty: name one"
	case len(name) > maxNameBytes:
		return fmt.Sprintf("has %d bytes: Postgres allows %d", len(name), maxNameBytes)
	case !schemaName.MatchString(name):
		return "is not a plain name: use lower-case letters, digits and underscores, and begin with no digit"
	case strings.HasPrefix(name, "pg_"):
		return "begins with pg_, as only Postgres' own schemas may: choose another name"
	case name == "public" || name == "information_schema":
		return "is shared with others: give the jobs a schema of their own"
	case slices.Contains(keywords, name):
		return "is a keyword of SQL that would need quotes: choose another name"
	}
	return ""
}

// ExpandSchema replaces each {label-key} of the template by the value of that
// pod label and checks the name that results, by CheckSchema. A label that is
// missing or empty is an error: two revisions must not share a schema by accident.
func ExpandSchema(template string, labels map[string]string) (string, error) {
	name, problem := expand(template, labels)
	if problem != "" {
		return "", fmt.Errorf("schema %q %s", shown(template), problem)
	}
	return name, nil
}

// expand is ExpandSchema with what is wrong as a text that continues "schema …".
func expand(template string, labels map[string]string) (name, problem string) {
	if problem := templateProblem(template); problem != "" {
		return "", problem
	}
	for _, key := range templateKeys(template) {
		if labels[key] == "" {
			return "", fmt.Sprintf("needs the pod's label %q, which is missing or empty", key)
		}
	}
	name = placeholder.ReplaceAllStringFunc(template, func(match string) string {
		return labels[match[1:len(match)-1]]
	})
	problem = schemaProblem(name)
	if problem != "" && name != template {
		problem = fmt.Sprintf("becomes %q, which %s", shown(name), problem)
	}
	return name, problem
}

// templateProblem is what is wrong with a template whatever the labels are,
// "" if nothing is. A template without a placeholder is a plain name.
func templateProblem(template string) string {
	keys := templateKeys(template)
	for _, key := range keys {
		if !labelKey.MatchString(key) {
			return fmt.Sprintf("holds %q, which is not a label's key", "{"+shown(key)+"}")
		}
	}
	rest := placeholder.ReplaceAllString(template, "")
	switch {
	case strings.ContainsAny(rest, "{}"):
		return "has a brace without a partner: write a label as {its-key}"
	case len(keys) == 0:
		return schemaProblem(template)
	case !templateHead.MatchString(template):
		return "begins with a label, whose value may begin with a digit: begin with a letter or an underscore"
	}
	// The shortest name it can become; a digit makes no keyword of anything.
	if problem := schemaProblem(placeholder.ReplaceAllString(template, "0")); problem != "" {
		return problem
	}
	return ""
}

// templateKeys lists the label keys that a template needs.
func templateKeys(template string) []string {
	var keys []string
	for _, match := range placeholder.FindAllStringSubmatch(template, -1) {
		keys = append(keys, match[1])
	}
	return keys
}
