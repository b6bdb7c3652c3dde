package main

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// panel is one set of grouped bars: a group for each figure, in it a bar for
// each system.
type panel struct {
	title  string
	groups []group
}

type group struct {
	label string // "" for what the report says
	at    place
}

// text is the group's label, on two lines at most.
func (g group) text(r *report) string {
	if g.label != "" {
		return g.label
	}
	for _, v := range r.variants(g.at.measure) {
		if v.key == g.at.variant {
			label := strings.TrimSuffix(strings.TrimPrefix(v.label, "beside "), " jobs")
			return strings.Replace(label, " ", "\n", 1)
		}
	}
	return ""
}

// panels of the plot, from left to right. Groups without a figure are left out.
var panels = []panel{
	{"Jobs per second", []group{
		{"", place{drainMeasure.key, variantSmall, "jobs_per_s"}},
		{"", place{drainMeasure.key, variantLarge, "jobs_per_s"}},
		{"enqueue and\nwork at once", place{sustainedMeasure.key, "sustained", "jobs_per_s"}},
	}},
	{"Waiting jobs beside other rows", []group{
		{"nothing\nelse", place{historyMeasure.key, variantBase, "jobs_per_s"}},
		{"", place{historyMeasure.key, variantFinished, "jobs_per_s"}},
		{"", place{historyMeasure.key, variantScheduled, "jobs_per_s"}},
		{"held\nsnapshot", place{heldMeasure.key, variantHeld, "jobs_per_s"}},
	}},
	{"From commit to start of a job, ms", []group{
		{"median", place{latencyMeasure.key, variantPaced, "p50_ms"}},
		{"95 %", place{latencyMeasure.key, variantPaced, "p95_ms"}},
		{"99 %", place{latencyMeasure.key, variantPaced, "p99_ms"}},
	}},
}

// colours of the systems' bars.
var colours = map[string]color.Color{
	understudyKey: color.RGBA{R: 0x1f, G: 0x6f, B: 0xb4, A: 0xff},
	riverKey:      color.RGBA{R: 0x8a, G: 0x96, B: 0xa3, A: 0xff},
	gueKey:        color.RGBA{R: 0xcf, G: 0xd5, B: 0xdb, A: 0xff},
}

var ink = color.RGBA{R: 0x33, G: 0x3b, B: 0x44, A: 0xff}

// The plot's measures, in points.
const (
	panelWidth  = 300
	panelHeight = 250
	padding     = 12
	titleHeight = 34
	textSize    = 9
	groupWidth  = 0.8  // of the distance between two groups
	headRoom    = 1.08 // for the figures above the bars
	legendRoom  = 1.3
)

// plotFile draws the panels that the report has figures for.
func plotFile(r *report, name string) error {
	var plots []*plot.Plot
	var titles []string
	for _, p := range panels {
		drawn, err := p.draw(r)
		if err != nil {
			return fmt.Errorf("draw %q: %w", p.title, err)
		}
		if drawn != nil {
			plots, titles = append(plots, drawn), append(titles, p.title)
		}
	}
	if len(plots) == 0 {
		return fmt.Errorf("there is nothing to plot: measure %s, %s or %s", drainMeasure.key, historyMeasure.key, latencyMeasure.key)
	}
	plots[0].Legend.Top = true
	for _, other := range plots[1:] {
		other.Legend = plot.NewLegend()
		other.Y.Max /= legendRoom
	}
	return writeFile(name, func(w io.Writer) error { return writeSVG(w, plots, titles) })
}

// writeSVG draws the plots side by side, on white: a dark page must not show
// through between dark letters.
func writeSVG(w io.Writer, plots []*plot.Plot, titles []string) error {
	canvas := vgsvg.New(vg.Length(len(plots)*panelWidth), panelHeight)
	whole := draw.New(canvas)
	fill(&whole, color.White, whole.Min, whole.Max)
	tiles := draw.Tiles{
		Rows: 1, Cols: len(plots),
		PadX: 2 * padding, PadLeft: padding, PadRight: padding, PadTop: titleHeight, PadBottom: padding,
	}
	title := style(textSize + 2)
	title.XAlign, title.YAlign = text.XCenter, text.YTop
	for i, one := range plot.Align([][]*plot.Plot{plots}, tiles, whole)[0] {
		plots[i].Draw(one)
		tile := tiles.At(whole, i, 0)
		whole.FillText(title, vg.Point{X: tile.Center().X, Y: whole.Max.Y - padding}, titles[i])
	}
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	// Where the font is missing, another without serifs does.
	_, err := w.Write(bytes.ReplaceAll(svg.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Helvetica,Arial,sans-serif;")))
	return err
}

// fill fills a rectangle.
func fill(c *draw.Canvas, with color.Color, least, most vg.Point) {
	c.FillPolygon(with, []vg.Point{least, {X: most.X, Y: least.Y}, most, {X: least.X, Y: most.Y}})
}

// style is text of a size.
func style(size vg.Length) text.Style {
	sans := plot.DefaultFont
	sans.Variant, sans.Size = "Sans", size
	return text.Style{Color: ink, Font: sans, Handler: plot.DefaultTextHandler}
}

// present are the groups that some system has a figure for.
func (p panel) present(r *report) []group {
	return slices.DeleteFunc(slices.Clone(p.groups), func(g group) bool {
		return !slices.ContainsFunc(r.systems(), func(s system) bool { return r.hasAny(s, []group{g}) })
	})
}

// hasAny says whether a system has a figure in any of the groups.
func (r *report) hasAny(s system, groups []group) bool {
	return slices.ContainsFunc(groups, func(g group) bool {
		_, has := r.spread(s.key, g.at)
		return has
	})
}

// draw draws the panel, nil if it would be empty.
func (p panel) draw(r *report) (*plot.Plot, error) {
	groups := p.present(r)
	if len(groups) == 0 {
		return nil, nil
	}
	drawn := newPlot(r, groups)
	compared := slices.DeleteFunc(r.systems(), func(s system) bool { return !r.hasAny(s, groups) })
	width := groupWidth / float64(len(compared))
	for i, s := range compared {
		bars := &bars{width: width, colour: colours[s.key]}
		for x, g := range groups {
			if spread, has := r.spread(s.key, g.at); has {
				bars.add(float64(x)+(float64(i)-float64(len(compared)-1)/2)*width, spread)
			}
		}
		labels, err := bars.labels()
		if err != nil {
			return nil, err
		}
		drawn.Add(bars, labels)
		drawn.Legend.Add(s.title, bars)
	}
	drawn.Y.Max *= headRoom * legendRoom
	return drawn, nil
}

// newPlot is a plot without bars yet.
func newPlot(r *report, groups []group) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.text(r)
	}
	p.NominalX(names...)
	p.X.Min, p.X.Max, p.X.Padding = -0.5, float64(len(groups))-0.5, 0
	p.Y.Min, p.Y.Padding = 0, 0
	p.Y.LineStyle.Width, p.Y.Tick.LineStyle.Width = 0, 0
	p.Y.Tick.Marker = plot.TickerFunc(ticks)
	for _, label := range []*text.Style{&p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		label.Color, label.Font = ink, style(textSize).Font
	}
	p.X.LineStyle.Color = ink
	p.Legend.Padding, p.Legend.ThumbnailWidth = 2, 10
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal.Color = color.Gray{Y: 0xe4}
	p.Add(grid)
	return p
}

// ticks are few, and written like the figures of the tables.
func ticks(least, most float64) []plot.Tick {
	var out []plot.Tick
	for _, tick := range (plot.DefaultTicks{}).Ticks(least, most) {
		if !tick.IsMinor() {
			tick.Label = short(tick.Value)
			out = append(out, tick)
		}
	}
	return out
}

// short writes a figure without needless digits.
func short(f float64) string {
	if f == math.Trunc(f) {
		return commas(int(f))
	}
	return strings.TrimRight(fmt.Sprintf("%.2f", f), "0")
}

// bars are one system's bars, with a whisker from the least to the most.
type bars struct {
	width  float64 // in units of the x axis
	colour color.Color
	at     []float64
	values []spread
}

func (b *bars) add(x float64, value spread) {
	b.at, b.values = append(b.at, x), append(b.values, value)
}

// Plot draws the bars.
func (b *bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	whisker := draw.LineStyle{Color: ink, Width: vg.Points(0.7)}
	for i, value := range b.values {
		left, right := x(b.at[i]-b.width*0.46), x(b.at[i]+b.width*0.46)
		bottom, top := y(0), y(value.median)
		fill(&c, b.colour, vg.Point{X: left, Y: bottom}, vg.Point{X: right, Y: top})
		if value.most > value.least {
			middle := (left + right) / 2
			c.StrokeLine2(whisker, middle, y(value.least), middle, y(value.most))
		}
	}
}

// DataRange is what the plot's axes have to show.
func (b *bars) DataRange() (xmin, xmax, ymin, ymax float64) {
	for _, value := range b.values {
		ymax = max(ymax, value.most)
	}
	return 0, 0, 0, ymax
}

// Thumbnail draws the legend's sample.
func (b *bars) Thumbnail(c *draw.Canvas) {
	fill(c, b.colour, c.Min, c.Max)
}

// labels are the figures above the bars.
func (b *bars) labels() (*plotter.Labels, error) {
	texts := plotter.XYLabels{}
	for i, value := range b.values {
		texts.XYs = append(texts.XYs, plotter.XY{X: b.at[i], Y: value.most})
		texts.Labels = append(texts.Labels, brief(value.median))
	}
	labels, err := plotter.NewLabels(texts)
	if err != nil {
		return nil, err
	}
	labels.Offset.Y = 2
	for i := range labels.TextStyle {
		labels.TextStyle[i] = style(textSize - 1)
		labels.TextStyle[i].XAlign = text.XCenter
	}
	return labels, nil
}

// brief writes a figure so that it fits above a bar.
func brief(f float64) string {
	switch {
	case f >= 10_000:
		return fmt.Sprintf("%.0fk", f/1000)
	case f >= 1000:
		return fmt.Sprintf("%.1fk", f/1000)
	case f >= 10:
		return fmt.Sprintf("%.0f", f)
	default:
		return fmt.Sprintf("%.1f", f)
	}
}
