package history

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/understudy-worker/understudy"
)

// String is the verdict for people.
func (v *Verdict) String() string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "jobs\t%s\n", v.states())
	fmt.Fprintf(table, "runs\t%d, %d of them cut short; %d jobs lost with their worker\n", v.Runs, v.Cut, v.Lost)
	fmt.Fprintf(table, "roles\tlatest claim %s after its role had ended\n", v.Late.Round(time.Millisecond))
	fmt.Fprintf(table, "violations\t%d\n", v.Count)
	table.Flush()
	for _, violation := range v.Violations {
		fmt.Fprintf(&text, "  %s\n", violation)
	}
	if more := v.Count - len(v.Violations); more > 0 {
		fmt.Fprintf(&text, "  and %d more\n", more)
	}
	return text.String()
}

// states counts the jobs by state, in the order of a job's life.
func (v *Verdict) states() string {
	var parts []string
	for _, state := range understudy.States {
		if n := v.Jobs[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
