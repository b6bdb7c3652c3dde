package reload

import "fmt"

// Snapshot is what a process is to do, as of one moment. It is comparable:
// two equal ones ask for the same.
type Snapshot struct {
	// Role is the pod's role, "" for none.
	Role string
	// Target is what to serve in that role, zero when the role maps to
	// nothing. Where Problem says why it cannot be served, only its name is set.
	Target Target
	// TemplateHash is the pod's label rollouts-pod-template-hash, "" outside Argo Rollouts.
	TemplateHash string
	// Problem is why a role has no target, or why pod files cannot be read
	// past the grace. It is "" when all is well, idle without a role included.
	Problem string
	// Unreadable says that the pod files stayed unreadable past the grace.
	Unreadable bool
}

// snapshot says what a view of the pod asks for.
func (c Config) snapshot(v view, dsn func(file string) (Secret, error)) Snapshot {
	if v.unreadable != nil {
		return Snapshot{Problem: v.unreadable.Error(), Unreadable: true}
	}
	s := Snapshot{Role: v.role, TemplateHash: v.labels[templateHashLabel]}
	if v.role == "" {
		return s
	}
	name, ok := c.Roles[v.role]
	if !ok {
		s.Problem = fmt.Sprintf("role %q maps to no target: add it to roles, or use one of %s", shown(v.role), words(c.Roles))
		return s
	}
	target, err := c.target(name, v.labels, dsn)
	if err != nil {
		s.Target.Name = name
		s.Problem = fmt.Sprintf("role %q has no target: %v", v.role, err)
		return s
	}
	s.Target = target
	return s
}
