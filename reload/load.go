package reload

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Source is where Load looks.
type Source struct {
	// File is the YAML file. If empty, the flag --config names it, else the
	// variable UNDERSTUDY_CONFIG; if all are empty there is none.
	File string
	// Environ is the environment, as os.Environ has it.
	Environ []string
	// Flags is a parsed flag set that Flags was called with, or nil.
	Flags *pflag.FlagSet
	// Version is the build's version, used if nothing else gives one.
	Version string
	// Target, if not empty, is the one target that a command is about: no
	// other needs a DSN.
	Target string
}

// Load merges defaults < YAML file < environment < flags into a Config and
// checks it. What is wrong with it is a *ConfigError, the first there is.
func Load(src Source) (Config, error) {
	given, err := src.layers()
	if err != nil {
		return Config{}, err
	}
	return merge(given, src)
}

// merge puts what is given over the defaults, the weakest first.
func merge(given []*layer, src Source) (Config, error) {
	ko := koanf.New(delim)
	from := map[string]string{}
	for _, l := range append([]*layer{defaultLayer(targetNames(given))}, given...) {
		for _, section := range l.whole {
			ko.Delete(section)
		}
		if err := ko.Load(confmap.Provider(l.ko.Raw(), ""), nil); err != nil {
			return Config{}, fmt.Errorf("merge configuration: %w", err)
		}
		maps.Copy(from, l.from)
	}
	cfg, err := decode(ko)
	if err != nil {
		return Config{}, err
	}
	if cfg.Version == "" {
		cfg.Version = lookup(src.Environ, envVersion)
	}
	if cfg.Version == "" {
		cfg.Version = src.Version
	}
	return cfg, checker{cfg: cfg, from: from, target: src.Target}.check()
}

// layers reads what is given, the weakest first.
func (src Source) layers() ([]*layer, error) {
	file, err := fileLayer(src.file())
	if err != nil {
		return nil, err
	}
	env, err := envLayer(src.Environ)
	if err != nil {
		return nil, err
	}
	flags, err := flagLayer(src.Flags)
	if err != nil {
		return nil, err
	}
	return []*layer{file, env, flags}, nil
}

// file is the name of the YAML file, "" if there is none.
func (src Source) file() string {
	if src.File != "" {
		return src.File
	}
	if src.Flags != nil {
		if f := src.Flags.Lookup(configFlag); f != nil && f.Changed {
			return f.Value.String()
		}
	}
	return lookup(src.Environ, envConfig)
}

func fileLayer(name string) (*layer, error) {
	l := newLayer(dotted)
	if name == "" {
		return l, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, &ConfigError{Source: name, Problem: "cannot be read", Advice: cause(err).Error()}
	}
	return l, l.addYAML(name, data)
}

func (l *layer) addYAML(source string, data []byte) error {
	ko := koanf.New(delim)
	if err := ko.Load(rawbytes.Provider(data), yaml.Parser()); err != nil {
		return &ConfigError{Source: source, Problem: "not a YAML mapping", Advice: yamlAdvice(err)}
	}
	return l.addTree(source, ko.Raw())
}

// yamlPlace finds where in a file the YAML parser stopped. The rest of what it
// says is left out, since it can quote the file, passwords included.
var yamlPlace = regexp.MustCompile(`line [0-9]+`)

func yamlAdvice(err error) string {
	if place := yamlPlace.FindString(err.Error()); place != "" {
		return "look at " + place
	}
	return "write keys and values, such as version: \"1.0\""
}

// cause is the reason within a file error, without the operation and the path.
func cause(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

//go:embed defaults.yaml
var defaultsYAML []byte

// defaults is the content of defaults.yaml. It is read only.
var defaults = sync.OnceValue(func() *koanf.Koanf {
	l := newLayer(dotted)
	if err := l.addYAML("defaults.yaml", defaultsYAML); err != nil {
		panic(err) // the file is part of the program
	}
	return l.ko
})

// defaultNames are the names that a section has by default.
func defaultNames(section string) []string { return defaults().MapKeys(section) }

// defaultText is a key's default as --help shows it.
func defaultText(path []string) string {
	switch value := defaults().Get(strings.Join(path, delim)).(type) {
	case nil:
		return ""
	case []string:
		return strings.Join(value, ",")
	default:
		return fmt.Sprint(value)
	}
}

// defaultLayer is the defaults together with those of the other targets that
// are configured: they verify migrations, drain like production, and have no
// schema until they are given one.
func defaultLayer(targets []string) *layer {
	l := newLayer(dotted)
	l.ko = defaults().Copy()
	for _, name := range targets {
		if slices.Contains(defaultNames("targets"), name) {
			continue
		}
		for _, part := range []string{"migrations", "drain_timeout", "pooler"} {
			path := []string{"targets", name, part}
			production := []string{"targets", "production", part}
			// Set fails only in koanf's strict mode, which this is not.
			_ = l.ko.Set(strings.Join(path, delim), defaults().Get(strings.Join(production, delim)))
		}
	}
	return l
}

// targetNames are the targets that layers name.
func targetNames(layers []*layer) []string {
	var names []string
	for _, l := range layers {
		names = append(names, l.ko.MapKeys("targets")...)
	}
	return names
}

// decode makes a Config of merged, checked values. They have its types
// already: what does not fit exactly is a mistake in this package.
func decode(ko *koanf.Koanf) (Config, error) {
	var cfg Config
	err := ko.UnmarshalWithConf("", &cfg, koanf.UnmarshalConf{
		DecoderConfig: &mapstructure.DecoderConfig{ErrorUnused: true, Result: &cfg},
	})
	if err != nil {
		return Config{}, fmt.Errorf("decode configuration: %w", err)
	}
	return cfg, nil
}
