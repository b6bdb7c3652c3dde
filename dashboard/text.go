package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

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
