package handlers

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// The configuration gives a value as its source has it: YAML a number or a
// list, environment and flags a text. These functions take either.

// scalar is the text of a text, number or boolean; nothing is the empty text.
func scalar(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case fmt.Stringer: // time.Duration, json.Number
		return v.String(), true
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.String:
		return v.String(), true
	case reflect.Float32, reflect.Float64:
		// Not in scientific notation, which a whole number in JSON would get.
		return strconv.FormatFloat(v.Float(), 'f', -1, 64), true
	case reflect.Slice, reflect.Array, reflect.Map, reflect.Struct, reflect.Pointer, reflect.Func, reflect.Chan:
		return "", false
	}
	return fmt.Sprint(value), true
}

// asList is the items of a list, or of a text that is a list in JSON.
func asList(value any) ([]any, bool) {
	if text, ok := value.(string); ok {
		var items []any
		return items, decode(text, "[", &items)
	}
	v := reflect.ValueOf(value)
	switch v.Kind() {
	case reflect.Invalid:
		return nil, true
	case reflect.Slice, reflect.Array:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = v.Index(i).Interface()
		}
		return items, true
	}
	return nil, false
}

// asTable is the entries of a map, or of a text that is a map in JSON.
func asTable(value any) (map[string]any, bool) {
	entries := map[string]any{}
	if text, ok := value.(string); ok {
		return entries, decode(text, "{", &entries)
	}
	v := reflect.ValueOf(value)
	switch v.Kind() {
	case reflect.Invalid:
		return nil, true
	case reflect.Map:
		for _, key := range v.MapKeys() {
			entries[fmt.Sprint(key.Interface())] = v.MapIndex(key).Interface()
		}
		return entries, true
	}
	return nil, false
}

// decode reads a JSON text that starts with the given bracket. Numbers keep
// the digits they were written with.
func decode(text, bracket string, into any) bool {
	text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
	if !strings.HasPrefix(text, bracket) || !json.Valid([]byte(text)) {
		return false
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into) == nil
}

// shape names what a value is, for an error that must not show it.
func shape(value any) string {
	switch reflect.ValueOf(value).Kind() {
	case reflect.Slice, reflect.Array:
		return "list"
	case reflect.Map:
		return "map"
	}
	return "single value"
}

// isNumber says whether a text is a number without a unit.
func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "+-.0123456789") == ""
}

// nearest is the known name that takes the fewest edits to get to.
func nearest(name string, known []string) string {
	best, least := "", -1
	for _, candidate := range known {
		if d := edits(strings.ToLower(name), candidate); least < 0 || d < least {
			best, least = candidate, d
		}
	}
	return best
}

// edits is the Levenshtein distance of two texts, in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
