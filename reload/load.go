package reload

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
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
	if err := (checker{cfg: cfg, from: from, target: src.Target}).check(); err != nil {
		return Config{}, err
	}
	return cfg, nil
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
		return nil, &ConfigError{Source: fileName(name), Problem: "cannot be read", Advice: cause(err).Error()}
	}
	return l, l.addYAML(fileName(name), data)
}

// fileName is a file's name on one line.
func fileName(name string) string {
	if strings.ContainsFunc(name, unicode.IsControl) {
		return strconv.Quote(name)
	}
	return name
}

func (l *layer) addYAML(source string, data []byte) error {
	tree, wrong := parseYAML(data)
	if wrong != nil {
		return &ConfigError{Source: source, Problem: wrong.problem, Advice: wrong.advice}
	}
	return l.addTree(source, tree)
}

// cause is the reason within a file error, without the operation and the path.
func cause(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
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
