package dashboard

import (
	"net/http"
	"strconv"

	"github.com/understudy-worker/understudy/internal/web"
)

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
