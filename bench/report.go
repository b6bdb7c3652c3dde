package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// report is what was measured, and on what.
type report struct {
	Taken    time.Time         `json:"taken"`
	Machine  string            `json:"machine"`
	Settings map[string]string `json:"settings"` // of the server
	Versions map[string]string `json:"versions"` // of the peers' modules
	Results  []result          `json:"results"`
}

// result is one run of one system.
type result struct {
	System     string             `json:"system"`
	Measure    string             `json:"measure"`
	Variant    string             `json:"variant"` // of the measure: what was different
	Label      string             `json:"label"`   // the same, for people
	Round      int                `json:"round"`
	Parameters map[string]int     `json:"parameters,omitempty"`
	Figures    map[string]float64 `json:"figures"`
}

// peers are the modules whose versions are reported.
var peers = map[string]string{
	"github.com/riverqueue/river": "River",
	"github.com/vgarvardt/gue/v5": "gue",
	"github.com/jackc/pgx/v5":     "pgx",
}

// versions are those of the peers, and of Go, that this program is built with.
func versions() map[string]string {
	found := map[string]string{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return found
	}
	found["Go"] = strings.TrimPrefix(info.GoVersion, "go")
	for _, module := range info.Deps {
		if name, wanted := peers[module.Path]; wanted {
			found[name] = module.Version
		}
	}
	return found
}

// write keeps the raw results, whole or not at all.
func (r *report) write(name string) error {
	part := name + ".part"
	err := writeFile(part, func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", " ")
		return encoder.Encode(r)
	})
	if err != nil {
		return fmt.Errorf("keep raw results: %w", err)
	}
	return os.Rename(part, name)
}

func readReport(name string) (*report, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read raw results: %w", err)
	}
	r := &report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("read raw results of %s: %w", name, err)
	}
	return r, nil
}
