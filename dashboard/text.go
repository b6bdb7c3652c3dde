package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// index lists what there is to ask for.
func (s *site) index(w http.ResponseWriter, _ *http.Request) {
	lines := []string{"understudy " + s.Version}
	for _, route := range s.routes() {
		if route.path != "/{$}" {
			lines = append(lines, fmt.Sprintf("%-4s %s", route.method, route.path))
		}
	}
	text(w, http.StatusOK, strings.Join(lines, "\n"))
}

func (s *site) version(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, s.Version) }

// role answers with an empty line when the pod has none.
func (s *site) role(w http.ResponseWriter, _ *http.Request) {
	text(w, http.StatusOK, s.Status().Role)
}

func (s *site) count(w http.ResponseWriter, _ *http.Request) {
	text(w, http.StatusOK, strconv.FormatInt(s.Count(), 10))
}

// text answers with one line. That it cannot be written means that the client
// has gone.
func text(w http.ResponseWriter, code int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, line)
}

// json answers with v, which is marshalled before a byte is written.
func (s *site) json(w http.ResponseWriter, r *http.Request, code int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(data, '\n'))
}
