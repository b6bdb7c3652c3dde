package reload

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/posflag"
	"github.com/spf13/pflag"
)

const (
	configFlag = "config"
	roleFlag   = "role"
)

// flagValue is the text of one flag; Load says what it means, so that a wrong
// one is reported as it is in a file or a variable.
type flagValue struct{ text, kind string }

func (v *flagValue) String() string {
	if v.kind == "DSN" {
		return Secret(v.text).String()
	}
	return v.text
}
func (v *flagValue) Set(text string) error { v.text = text; return nil }
func (v *flagValue) Type() string          { return v.kind }

// Flags adds to fs the flag --config, one flag for each key, --worker.lease
// and the like, and --role, which is short for --podinfo.role. Keys under a
// name of the user's own (--targets.eu.dsn, --queues.mail.concurrency) become
// flags when they are named, whatever the name. To that end fs gets a
// normalize function: parse with fs itself, as cobra does with Command.Flags().
func Flags(fs *pflag.FlagSet) {
	fs.String(configFlag, "", "YAML file of the configuration; "+envConfig+" names it as well")
	for _, k := range keys {
		for _, path := range flagPaths(k) {
			addFlag(fs, dotted(path), &flagValue{kind: k.kind}, k.usage, defaultText(path))
		}
	}
	for _, section := range slices.Sorted(maps.Keys(nameChecks)) {
		addFlag(fs, section, &flagValue{kind: "YAML"}, "all "+section+" at once, as {name: …}", "")
	}
	role := fs.Lookup("podinfo.role")
	addFlag(fs, roleFlag, role.Value, role.Usage, "") // one value: the last of the two flags wins
	addOnDemand(fs)
}

// flagPaths are the keys that --help shows for k: for those under names of the
// user's own, the ones with a default.
func flagPaths(k key) [][]string {
	if !slices.Contains(k.path, anyName) {
		return [][]string{k.path}
	}
	var out [][]string
	for _, name := range defaultNames(k.path[0]) {
		path := slices.Clone(k.path)
		path[1] = name
		if defaults().Exists(strings.Join(path, delim)) {
			out = append(out, path)
		}
	}
	return out
}

func addFlag(fs *pflag.FlagSet, name string, value pflag.Value, usage, byDefault string) {
	flag := fs.VarPF(value, name, "", usage)
	flag.DefValue = byDefault
	if value.Type() == "bool" {
		flag.NoOptDefVal = "true"
	}
}

// addOnDemand lets fs take flags that it does not know yet: pflag normalizes
// every name it meets before it looks the flag up.
func addOnDemand(fs *pflag.FlagSet) {
	before := fs.GetNormalizeFunc()
	adding := ""
	fs.SetNormalizeFunc(func(fs *pflag.FlagSet, name string) pflag.NormalizedName {
		if section, _, dot := strings.Cut(name, "."); name != adding && dot && root.children[section] != nil {
			adding = name // adding and looking up normalize the name once more
			if fs.Lookup(name) == nil {
				addFlag(fs, name, &flagValue{kind: flagKind(name)}, "", "")
			}
			adding = ""
		}
		return before(fs, name)
	})
}

// flagKind is the kind of the key that a flag's name names, "value" if there
// is none.
func flagKind(name string) string {
	at := root
	for _, part := range flagPath(name) {
		if at = at.child(part); at == nil {
			return "value"
		}
	}
	if at.key == nil {
		return "YAML"
	}
	return at.key.kind
}

// flagPath splits a flag's name. A name of the user's own may hold dots; the
// key under it does not.
func flagPath(name string) []string {
	section, rest, dot := strings.Cut(name, ".")
	last := strings.LastIndex(rest, ".")
	switch {
	case name == roleFlag:
		return []string{"podinfo", "role"}
	case !dot:
		return []string{section}
	case section == "roles":
		return []string{section, rest}
	case nameChecks[section] != nil && last >= 0:
		return []string{section, rest[:last], rest[last+1:]}
	}
	return strings.Split(name, ".")
}

// flagLayer reads the flags that were given.
func flagLayer(fs *pflag.FlagSet) (*layer, error) {
	l := newLayer(func(path []string) string { return "--" + dotted(path) })
	if fs == nil {
		return l, nil
	}
	provider := posflag.ProviderWithFlag(fs, "", nil, func(f *pflag.Flag) (string, any) {
		if v, ours := f.Value.(*flagValue); ours {
			return f.Name, v.text
		}
		return "", nil
	})
	flags, err := provider.Read()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(flags)) { // a section comes before the keys in it
		if err := l.addText(shownName("--"+name), flagPath(name), fmt.Sprint(flags[name])); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// SecretFlags names the flags that were given and hold a DSN: ps shows them.
func SecretFlags(fs *pflag.FlagSet) []string {
	var names []string
	fs.Visit(func(f *pflag.Flag) {
		value, ours := f.Value.(*flagValue)
		if !ours || value.text == "" {
			return
		}
		at := root
		for _, part := range flagPath(f.Name) {
			if at = at.child(part); at == nil {
				return
			}
		}
		if at.key != nil && at.key.kind == dsnKind || at.key == nil && dsnInside.MatchString(value.text) {
			names = append(names, "--"+f.Name)
		}
	})
	return names
}

// dsnInside finds a DSN in a section that is given as a whole.
var dsnInside = regexp.MustCompile(`\bdsn["']?\s*:`)
