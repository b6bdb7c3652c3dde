package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/understudy-worker/understudy"
)

// Limits of JSON that is kept with a job, so that whoever reads the job can.
const (
	maxJSONDepth = 1000
	// Postgres writes 1e1000 out, in a thousand digits, and knows no number that is too long.
	maxExponent    = 1000
	maxNumberBytes = 10_000
)

// jsonText is v as JSON text; nil for nil. It is checked before it is sent, so
// that an error can say which job is at fault.
func jsonText(name string, v any) (*string, error) {
	if v == nil {
		return nil, nil
	}
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("%s cannot be made JSON: %w", name, err)
	}
	compact := bytes.TrimSuffix(data.Bytes(), []byte("\n"))
	if len(compact) > understudy.MaxArgsBytes {
		return nil, fmt.Errorf("%s has %d bytes, the limit is %d", name, len(compact), understudy.MaxArgsBytes)
	}
	if err := checkJSON(name, compact); err != nil {
		return nil, err
	}
	text := string(compact)
	return &text, nil
}

// checkJSON refuses what is JSON, but not for Postgres.
func checkJSON(name string, data []byte) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%s is not valid UTF-8", name)
	}
	depth, written := 0, len(data)
	for i := 0; i < len(data); {
		switch c := data[i]; c {
		case '[', '{':
			if depth++; depth > maxJSONDepth {
				return fmt.Errorf("%s is nested too deep, the limit is %d levels", name, maxJSONDepth)
			}
			i++
		case ']', '}':
			depth--
			i++
		case '"':
			length, err := checkString(data[i:])
			if err != nil {
				return fmt.Errorf("%s %w", name, err)
			}
			i += length
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			length, zeros, err := checkNumber(data[i:])
			if err != nil {
				return fmt.Errorf("%s %w", name, err)
			}
			if written += zeros; written > understudy.MaxArgsBytes {
				return fmt.Errorf("%s has more than %d bytes once its numbers are written out", name, understudy.MaxArgsBytes)
			}
			i += length
		default:
			i++
		}
	}
	return nil
}

// checkString checks the JSON string at the start of data and returns its length.
func checkString(data []byte) (int, error) {
	for i := 1; i < len(data); i++ {
		switch data[i] {
		case '"':
			return i + 1, nil
		case '\\':
			i++
			if i >= len(data) || data[i] != 'u' {
				continue
			}
			r := escaped(data[i-1:])
			switch {
			case r == 0:
				return 0, errors.New(`contains \u0000, which Postgres cannot store`)
			case !utf16.IsSurrogate(r):
				i += 4
			case utf16.DecodeRune(r, escaped(data[min(i+5, len(data)):])) == utf8.RuneError:
				return 0, fmt.Errorf(`contains \u%04x, half of a surrogate pair, which Postgres cannot store`, r)
			default:
				i += 10
			}
		}
	}
	return len(data), nil
}

// escaped is the character of the \uXXXX at the start of data; -1 if there is none.
func escaped(data []byte) rune {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return -1
	}
	code, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(code)
}

// checkNumber checks the JSON number at the start of data, and returns its
// length and how many digits its exponent adds when Postgres writes it out.
func checkNumber(data []byte) (length, zeros int, err error) {
	exponentAt := 0
	for ; length < len(data) && bytes.IndexByte([]byte("+-.0123456789eE"), data[length]) >= 0; length++ {
		if data[length] == 'e' || data[length] == 'E' {
			exponentAt = length + 1
		}
	}
	if length > maxNumberBytes {
		return 0, 0, fmt.Errorf("contains a number of %d characters, the limit is %d", length, maxNumberBytes)
	}
	if exponentAt == 0 {
		return length, 0, nil
	}
	exponent, err := strconv.Atoi(string(data[exponentAt:length]))
	if zeros = max(exponent, -exponent); err != nil || zeros > maxExponent {
		return 0, 0, fmt.Errorf("contains the number %.40s, the limit of an exponent is %d", data[:length], maxExponent)
	}
	return length, zeros, nil
}
