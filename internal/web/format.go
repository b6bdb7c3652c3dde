package web

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// commonFuncs are what all templates may call.
var commonFuncs = template.FuncMap{
	"asset":   assetURL,
	"count":   Count,
	"took":    Took,
	"moment":  Moment,
	"rate":    Rate,
	"short":   Short,
	"seconds": func(s float64) string { return Span(time.Duration(s * float64(time.Second))) },
}

// Moment is a time in full, to the millisecond, in UTC.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

// timeElement says how long ago a time is (class "ago"), or for how long
// something has been so (class "age"), with the exact time in the title. The
// browser keeps it up to date.
func timeElement(class string, v any, span func(time.Time) string) (template.HTML, error) {
	var t time.Time
	switch v := v.(type) {
	case time.Time:
		t = v
	case *time.Time:
		if v != nil {
			t = *v
		}
	default:
		return "", fmt.Errorf("%T is no time", v)
	}
	if t.IsZero() {
		return "–", nil
	}
	text := span(t)
	if class == "ago" && text != "" {
		text = relative(text)
	}
	return template.HTML(fmt.Sprintf(`<time class=%q datetime=%q title=%q>%s</time>`,
		class, t.UTC().Format("2006-01-02T15:04:05.000Z"), Moment(t), text)), nil
}

// relative puts a span before or after now.
func relative(span string) string {
	if rest, ahead := strings.CutPrefix(span, "-"); ahead {
		return "in " + rest
	}
	return span + " ago"
}

// Span is a length of time in its largest unit, rounded down, as the script of
// the pages has it too.
func Span(d time.Duration) string {
	sign := ""
	if d <= -time.Second {
		sign = "-"
	}
	d = d.Abs()
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}} {
		if d >= unit.length {
			return fmt.Sprintf("%s%d %s", sign, d/unit.length, unit.name)
		}
	}
	return fmt.Sprintf("%s%d s", sign, d/time.Second)
}

// Took is a length of time to three digits.
func Took(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 ms"
	case d < 100*time.Microsecond:
		return "<0.1 ms"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return Span(d)
}

// Count is a whole number with its thousands set apart.
func Count(n any) (string, error) {
	digits := fmt.Sprint(n)
	if _, err := strconv.ParseInt(digits, 10, 64); err != nil {
		return "", fmt.Errorf("%v (%T) is no whole number", n, n)
	}
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits, nil
}

// shortBytes is how much of a text a table shows.
const shortBytes = 300

// Short is the beginning of a text that may be long.
func Short(text string) string {
	if len(text) <= shortBytes {
		return text
	}
	return strings.ToValidUTF8(text[:shortBytes], "") + "…"
}

// Rate is a number of things a second.
func Rate(perSecond float64) string {
	if perSecond < 10 && perSecond != math.Trunc(perSecond) {
		return fmt.Sprintf("%.1f", perSecond)
	}
	text, _ := Count(int64(math.Round(perSecond)))
	return text
}
