package dashboard

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/understudy-worker/understudy/internal/web"
)

// index lists what there is to ask for.
func (s *site) index(w http.ResponseWriter, _ *http.Request) {
	lines := []string{"understudy " + s.Version}
	for _, route := range s.routes() {
		if route.Path != "/{$}" {
			lines = append(lines, fmt.Sprintf("%-4s %s", route.Method, route.Path))
		}
	}
	web.Text(w, http.StatusOK, strings.Join(lines, "\n"))
}

func (s *site) version(w http.ResponseWriter, _ *http.Request) {
	web.Text(w, http.StatusOK, s.Version)
}

// role answers with an empty line when the pod has none.
func (s *site) role(w http.ResponseWriter, _ *http.Request) {
	web.Text(w, http.StatusOK, s.Status().Role)
}

func (s *site) count(w http.ResponseWriter, _ *http.Request) {
	web.Text(w, http.StatusOK, strconv.FormatInt(s.Count(), 10))
}
