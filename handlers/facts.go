package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/understudy-worker/understudy"
)

// fact is one thing that the http and exec handlers tell about a job.
type fact struct{ name, value string }

// header is the request header that carries the fact.
func (f fact) header() string { return "Understudy-Job-" + f.name }

// variable is the environment variable that carries the fact.
func (f fact) variable() string {
	return "UNDERSTUDY_JOB_" + strings.ToUpper(strings.ReplaceAll(f.name, "-", "_"))
}

// facts is what a job's program or service is told besides its arguments.
func facts(job *understudy.Job, place understudy.Place) []fact {
	return []fact{
		{"Id", strconv.FormatInt(job.ID, 10)},
		{"Kind", job.Kind},
		{"Queue", job.Queue},
		{"Attempt", strconv.Itoa(job.Attempt)},
		{"Max-Attempts", strconv.Itoa(job.MaxAttempts)},
		{"Role", place.Role},
		{"Target", place.Target},
		{"Schema", place.Schema},
		{"Version", place.Version},
	}
}

// arguments is the JSON that goes to the job's program or service.
func arguments(job *understudy.Job) []byte {
	if len(job.Args) == 0 {
		return []byte("{}")
	}
	return job.Args
}

// keepResult makes data the job's result if it is one JSON value; anything
// else is ignored. A value that cannot be stored is a warning, not a failure.
func keepResult(job *understudy.Job, data []byte) {
	data = bytes.TrimSpace(withoutMark(data))
	if json.Valid(data) || deeperThanGo(data) {
		_ = job.SetResult(json.RawMessage(data)) // is nil
	}
}

// withoutMark is data without the byte order mark that some services begin with.
func withoutMark(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\ufeff")) }

// leaveLong leaves out what came back and is longer than the limit, of which
// data is the start. If that is the start of a JSON value, the job's warning says so.
func leaveLong(job *understudy.Job, data []byte, setting string, limit int) {
	data = withoutMark(data)
	err := json.NewDecoder(bytes.NewReader(data)).Decode(new(json.RawMessage))
	if errors.Is(err, io.ErrUnexpectedEOF) || json.Valid(data) || deeperThanGo(data) {
		job.LeaveResult(fmt.Sprintf("result has more than %d bytes, the limit of %s", limit, setting))
	}
}

// deeperThanGo says whether data is JSON that nests too deep for Go to read.
func deeperThanGo(data []byte) bool {
	var syntax *json.SyntaxError
	err := json.Unmarshal(data, new(json.RawMessage))
	return errors.As(err, &syntax) && strings.HasSuffix(syntax.Error(), "exceeded max depth")
}

// readable is text from outside as an error can hold it: valid UTF-8, without
// control characters, of which Postgres refuses the zero byte.
func readable(text []byte) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, string(text))
	return strings.TrimSpace(clean)
}
