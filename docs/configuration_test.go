package docs_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/understudy-worker/understudy/reload"
)

// documentedKey is a row of a table in configuration.md.
type documentedKey struct{ key, variable, byDefault string }

func documentedKeys(t *testing.T) map[string]documentedKey {
	t.Helper()
	all := map[string]documentedKey{}
	for rest := read(t, "configuration.md"); ; {
		const header = "key | variable | default | meaning"
		table := rows(rest, header)
		if len(table) == 0 {
			return all
		}
		for _, cells := range table {
			if len(cells) != 4 {
				t.Fatalf("row %q has %d cells, want 4", cells, len(cells))
			}
			k := documentedKey{key: strings.Trim(cells[0], "`"), variable: strings.Trim(cells[1], "`"), byDefault: strings.Trim(cells[2], "`")}
			all[k.key] = k
		}
		_, rest, _ = strings.Cut(rest, header)
	}
}

// names are the names that stand under the sections whose names are the
// user's own, in the tables.
var names = map[string][]string{
	"roles":    {"active", "stable", "preview", "canary"},
	"targets":  {"production", "preview"},
	"queues":   {"default"},
	"handlers": {"KIND"},
}

// keysOf lists the keys of a type by its koanf tags.
func keysOf(typ reflect.Type, path string) []string {
	switch {
	case path == "handlers.KIND":
		return []string{path + ".type"}
	case typ.Kind() == reflect.Map:
		var all []string
		for _, name := range names[path] {
			all = append(all, keysOf(typ.Elem(), path+"."+name)...)
		}
		return all
	case typ.Kind() != reflect.Struct:
		return []string{path}
	}
	var all []string
	for i := range typ.NumField() {
		field := typ.Field(i)
		all = append(all, keysOf(field.Type, strings.TrimPrefix(path+"."+field.Tag.Get("koanf"), "."))...)
	}
	return all
}

func TestEveryKeyOfTheConfigurationIsDocumented(t *testing.T) {
	t.Parallel()
	want := keysOf(reflect.TypeFor[reload.Config](), "")
	slices.Sort(want)
	got := slices.Sorted(maps.Keys(documentedKeys(t)))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-known +documented):\n%s", diff)
	}
}

func TestDocumentedFlagsAndDefaultsAreThoseOfTheProgram(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("understudy", pflag.ContinueOnError)
	reload.Flags(flags)
	for _, k := range documentedKeys(t) {
		if strings.HasPrefix(k.key, "handlers.") {
			continue // has flags for each kind, and no default
		}
		flag := flags.Lookup(k.key)
		if flag == nil {
			t.Errorf("%s: there is no such flag", k.key)
			continue
		}
		want := plain(flag.DefValue)
		switch {
		case k.key == "version":
			want = "APP_VERSION"
		case want == "":
			want = "none"
		}
		if got := plain(k.byDefault); got != want {
			t.Errorf("%s: documented default %q, the program's is %q", k.key, got, want)
		}
	}
}

// plain is a default without what may differ in how it is written.
func plain(text string) string {
	if d, err := time.ParseDuration(text); err == nil {
		return d.String()
	}
	return strings.Trim(text, "[]")
}

func TestDocumentedVariablesAreTaken(t *testing.T) {
	t.Parallel()
	for _, k := range documentedKeys(t) {
		environ := slices.DeleteFunc(slices.Clone(dsns), func(line string) bool {
			return strings.HasPrefix(line, strings.TrimSuffix(k.variable, "_FILE")+"=") // stands for the DSN
		})
		environ = append(environ, fmt.Sprintf("%s=%s", k.variable, example(k)))
		config, err := reload.Load(reload.Source{Environ: environ})
		if err != nil {
			t.Errorf("%s: %v", k.variable, err)
		} else if got := valueOf(reflect.ValueOf(config), strings.Split(strings.Replace(k.key, "KIND", "kind", 1), ".")); got != example(k) {
			t.Errorf("%s=%s makes %s %q", k.variable, example(k), k.key, got)
		}
	}
}

// example is a value of the key's kind that is not its default.
func example(k documentedKey) string {
	switch last := k.key[strings.LastIndex(k.key, ".")+1:]; last {
	case "poll_interval", "lease", "retention", "job_timeout", "grace", "drain_timeout":
		return "1m7s"
	case "max_losses", "max_bytes", "concurrency":
		return "7"
	case "read_only":
		return "true"
	case "migrations":
		return map[string]string{"apply": "verify", "verify": "apply"}[k.byDefault]
	case "pooler":
		return "none" // the other one asks for more
	case "addr":
		return "127.0.0.1:0"
	case "hosts":
		return "jobs.example.com"
	case "ready_requires":
		return "preview"
	case "level":
		return "warn"
	case "format":
		return "text"
	case "dsn", "migrate_dsn":
		return "postgres://db/z"
	case "role":
		return "active"
	case "type":
		return "exec"
	case "active", "stable":
		return "preview"
	case "preview", "canary":
		return "production"
	default:
		return "other"
	}
}

// valueOf is the text of the value that stands at a path of koanf tags.
func valueOf(v reflect.Value, path []string) string {
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch {
	case len(path) == 0 && v.Kind() == reflect.String: // a DSN too, which prints itself as redacted
		return v.String()
	case len(path) == 0:
		return strings.Trim(fmt.Sprint(v.Interface()), "[]")
	case v.Kind() == reflect.Map:
		return valueOf(v.MapIndex(reflect.ValueOf(path[0])), path[1:])
	}
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("koanf") == path[0] {
			return valueOf(v.Field(i), path[1:])
		}
	}
	return "nothing"
}

func TestYAMLInTheDocumentsIsConfiguration(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, document := range documents(t) {
		for _, b := range blocks(read(t, document)) {
			if b.kind == "yaml" {
				load(t, b.text)
				tried++
			}
		}
	}
	if tried < 4 {
		t.Errorf("%d blocks of YAML were tried, want those of the documents", tried)
	}
}
