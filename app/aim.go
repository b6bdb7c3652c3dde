package app

import (
	"fmt"
	"maps"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/understudy-worker/understudy/reload"
)

// templateHashLabel is what Argo Rollouts labels every pod of a revision with.
const templateHashLabel = "rollouts-pod-template-hash"

// aim says which schema of which target a command is about.
type aim struct {
	target string
	schema string // "" for the target's own
	hash   string
	labels []string // key=value
	writes bool     // a standby is of no use for it
}

// flags adds the flags that aim a command, and those of the configuration.
func (f *aim) flags(cmd *cobra.Command, target string) {
	flags := cmd.Flags()
	reload.Flags(flags)
	flags.VisitAll(hideUnlessConnecting)
	flags.StringVar(&f.target, "target", target, "target that the command is about")
	flags.StringVar(&f.schema, "schema", "", "another schema of the target than the configured one")
	flags.StringVar(&f.hash, "template-hash", "", "revision whose schema it is: value of the pods' label "+templateHashLabel)
	flags.StringArrayVar(&f.labels, "label", nil, "label in the schema's name, as key=value; once for each")
}

// hideUnlessConnecting keeps the help to what says where a target is. Every
// other key of the configuration is taken as well: run --help lists them.
func hideUnlessConnecting(flag *pflag.Flag) {
	if flag.Name != "config" && !strings.HasPrefix(flag.Name, "targets") {
		flag.Hidden = true
	}
}

// targetReader reads a target of the configuration: reload.ReadTarget or ReadTargetToMigrate.
type targetReader func(config reload.Config, name string, labels map[string]string) (reload.Target, error)

// find reads the configuration and in it the target that the command is about.
func (a *application) find(cmd *cobra.Command, f aim, read targetReader) (target reload.Target, config reload.Config, err error) {
	if f.target == "" {
		return target, config, usagef("--target is empty: name a target")
	}
	config, err = a.config(cmd, f.target)
	if err != nil {
		return target, config, err
	}
	labels, err := f.putSchema(&config)
	if err != nil {
		return target, config, &usageError{err}
	}
	target, err = read(config, f.target, labels)
	if err != nil { // of a file that it names: nothing was connected to yet
		return target, config, &usageError{err}
	}
	return target, config, nil
}

// putSchema puts --schema into the configuration, or finds the labels that the
// schema's template needs.
func (f aim) putSchema(config *reload.Config) (map[string]string, error) {
	given, err := f.givenLabels()
	if err != nil {
		return nil, err
	}
	target := config.Targets[f.target]
	if f.schema != "" {
		target.Schema = f.schema
		config.Targets = maps.Clone(config.Targets)
		config.Targets[f.target] = target
		return nil, reload.CheckSchema(f.schema)
	}
	if !strings.Contains(target.Schema, "{") {
		return nil, nil
	}
	labels := map[string]string{}
	if own, err := reload.ReadLabels(*config); err == nil { // outside a pod there are none, and flags must do
		maps.Copy(labels, own)
	}
	maps.Copy(labels, given)
	if _, err := reload.ExpandSchema(target.Schema, labels); err != nil {
		return nil, fmt.Errorf("target %q: %w: pass --template-hash HASH, --label key=value, or --schema NAME", f.target, err)
	}
	return labels, nil
}

// givenLabels are the labels that flags give.
func (f aim) givenLabels() (map[string]string, error) {
	labels := map[string]string{}
	for _, label := range f.labels {
		key, value, found := strings.Cut(label, "=")
		if !found || key == "" || value == "" {
			return nil, fmt.Errorf("--label %q: write key=value", label)
		}
		labels[key] = value
	}
	if f.hash != "" {
		labels[templateHashLabel] = f.hash
	}
	return labels, nil
}
