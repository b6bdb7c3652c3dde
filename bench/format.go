package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// commas writes a whole number in groups of three digits.
func commas(n int) string {
	digits := strconv.Itoa(n)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, groups...), ",")
}

// number writes a figure with about three significant digits.
func number(f float64) string {
	switch size := math.Abs(f); {
	case size >= 1000:
		unit := math.Pow(10, math.Floor(math.Log10(size))-2)
		return commas(int(math.Round(f/unit) * unit))
	case size >= 100:
		return fmt.Sprintf("%.0f", f)
	case size >= 10:
		return fmt.Sprintf("%.1f", f)
	default:
		return fmt.Sprintf("%.2f", f)
	}
}

// whole writes a count.
func whole(f float64) string { return commas(int(math.Round(f))) }

// percent writes a share.
func percent(f float64) string { return fmt.Sprintf("%.0f %%", 100*f) }

// text writes a spread: the median, and the least and the most where they differ.
func (s spread) text(format func(float64) string) string {
	middle, least, most := format(s.median), format(s.least), format(s.most)
	if least == most {
		return middle
	}
	return fmt.Sprintf("%s (%s–%s)", middle, least, most)
}
