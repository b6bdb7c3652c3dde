package web

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// Plot is lines over time, the newest value last.
type Plot struct {
	// Lines are drawn over each other; all have as many values.
	Lines []Line
	// Span is the time that they cover, in words.
	Span string
}

// Line is one line of a plot. A value below 0 is not known, and leaves a gap.
type Line struct {
	Name   string
	Class  string // "good", "bad" or "depth"
	Values []float64
}

// Size of a plot in units of its own: it is stretched to where it stands.
const plotWidth, plotHeight = 300.0, 60.0

// Top is the largest value.
func (p Plot) Top() (top float64) {
	for _, line := range p.Lines {
		if len(line.Values) > 0 {
			top = max(top, slices.Max(line.Values))
		}
	}
	return top
}

// Words are the plot for whoever does not see it.
func (p Plot) Words() string {
	var words []string
	for _, line := range p.Lines {
		now := "not known"
		if n := len(line.Values); n > 0 && line.Values[n-1] >= 0 {
			now = Rate(line.Values[n-1])
		}
		words = append(words, fmt.Sprintf("%s: now %s", line.Name, now))
	}
	return fmt.Sprintf("%s; at most %s in the last %s", strings.Join(words, ", "), Rate(p.Top()), p.Span)
}

// Paths are the lines as the d of SVG paths, each with its class.
func (p Plot) Paths() []PlotPath {
	top := max(p.Top(), 1) // so that nothing is at the bottom
	paths := make([]PlotPath, 0, len(p.Lines))
	for _, line := range p.Lines {
		stroke, area := line.paths(top)
		paths = append(paths, PlotPath{Class: line.Class, Stroke: stroke, Area: area})
	}
	return paths
}

// PlotPath is how one line is drawn.
type PlotPath struct{ Class, Stroke, Area string }

func (l Line) paths(top float64) (stroke, area string) {
	var line, fill strings.Builder
	step := plotWidth / float64(max(len(l.Values)-1, 1))
	begun, last := -1.0, 0.0
	finish := func() {
		if begun >= 0 {
			fmt.Fprintf(&fill, "L%.0f %.0fL%.0f %.0fZ", last, plotHeight, begun, plotHeight)
		}
		begun = -1
	}
	for i, value := range l.Values {
		if value < 0 {
			finish()
			continue
		}
		x, y, verb := float64(i)*step, plotHeight-value/top*(plotHeight-2)-1, "L"
		if begun < 0 {
			begun, verb = x, "M"
		}
		last = x
		fmt.Fprintf(&line, "%s%.0f %.1f", verb, x, y)
		fmt.Fprintf(&fill, "%s%.0f %.1f", verb, x, y)
	}
	finish()
	return line.String(), fill.String()
}

// ViewBox is that of the plot's SVG.
func (p Plot) ViewBox() template.HTMLAttr {
	return template.HTMLAttr(fmt.Sprintf(`viewBox="0 0 %.0f %.0f"`, plotWidth, plotHeight))
}
