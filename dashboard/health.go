package dashboard

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/web"
)

// stuckAfter is how long the supervisor's loop, which goes round every second,
// may take before it counts as stuck.
const stuckAfter = 10 * time.Second

// alive fails only when the supervisor's loop is stuck, so that neither a long
// migration nor a dead database restarts the process.
func (s *site) alive(w http.ResponseWriter, _ *http.Request) {
	last := s.Ticked()
	if last.Before(s.born) { // it is yet to start
		last = s.born
	}
	if age := time.Since(last); age > stuckAfter {
		verdict(w, false, fmt.Sprintf("the supervisor's loop last went round %s ago", age.Round(time.Second)))
		return
	}
	verdict(w, true, "the supervisor's loop goes round")
}

func (s *site) ready(w http.ResponseWriter, _ *http.Request) {
	ok, why := readiness(s.Status(), s.ReadyRequires)
	verdict(w, ok, why)
}

// readiness says whether a process in that state is ready, and why. The reason
// is for everybody, since probes carry no token: it leaves out Status.Problem,
// which may name servers and logins.
func readiness(st understudy.Status, required []string) (ok bool, why string) {
	switch {
	case st.Phase == understudy.PhaseStopped:
		return false, "stopped"
	case st.Unreadable:
		return false, "the pod files cannot be read"
	case st.Phase == understudy.PhaseStarting:
		return false, "the pod files have not been read yet"
	case st.Role == "":
		return true, "idle: the pod has no role"
	case st.Target == "":
		return false, fmt.Sprintf("role %q has no target to serve", st.Role)
	case st.Refused:
		return false, fmt.Sprintf("target %q is the same place as another target, and must not be served", st.Target)
	case st.Stalled != "" && slices.Contains(required, st.Target):
		return false, fmt.Sprintf("target %q is served as %q, and jobs cannot be finished: %s", st.Target, st.Role, st.Stalled)
	case st.Phase == understudy.PhaseServing && st.Serving.Target == st.Target:
		return true, fmt.Sprintf("serving target %q as %q", st.Target, st.Role)
	case !slices.Contains(required, st.Target):
		return true, fmt.Sprintf("target %q is not served yet (%s), and http.ready_requires does not list it", st.Target, st.Phase)
	}
	return false, fmt.Sprintf("target %q is wanted as %q and not served yet (%s)", st.Target, st.Role, st.Phase)
}

// verdict answers a probe with one line.
func verdict(w http.ResponseWriter, ok bool, why string) {
	code := http.StatusOK
	if !ok {
		code = http.StatusServiceUnavailable
	}
	web.Text(w, code, why)
}
