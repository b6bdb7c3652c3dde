package reload

import (
	"slices"
	"strings"
	"time"
)

// key is one value that can be configured.
type key struct {
	path   []string // "*" stands for a name of the user's own
	kind   string   // for people, as a flag's type
	secret bool     // its value is never shown
	parse  parser
	usage  string
}

const anyName = "*"

// dsnKind is the kind of the keys that are a DSN.
const dsnKind = "DSN"

// keys are all the keys there are. Their defaults stand in defaults.yaml.
var keys = []key{
	entry("version", "text", text(nil), "version that this worker reports; APP_VERSION, else the build's, if empty"),
	entry("podinfo.dir", "directory", text(nil), "directory with the pod's labels"),
	entry("podinfo.role_label", "label", text(checkRoleLabel), "label whose value is the role"),
	entry("podinfo.grace", "duration", duration(0), "how long the last good read counts while pod files cannot be read"),
	entry("podinfo.role", "role", text(checkRole), "the role for good, without Kubernetes"),
	entry("roles.*", "target", text(nil), "target that this role serves"),
	secretEntry("targets.*.dsn", "Postgres DSN of the target"),
	fileEntry("targets.*.dsn_file", checkDSNFile, "file that holds the DSN, watched"),
	secretEntry("targets.*.migrate_dsn", "DSN for migrations, if another"),
	fileEntry("targets.*.migrate_dsn_file", checkDSNFile, "file that holds the DSN for migrations, read when one is due"),
	entry("targets.*.schema", "schema", text(checkSchemaKey), "schema of the jobs; may hold labels as {label-key}"),
	entry("targets.*.migrations", "mode", choice("apply", "verify"), "apply migrations on start-up, or only verify them"),
	entry("targets.*.app_migrations", "directory", text(nil), "directory of the application's own migrations"),
	entry("targets.*.drain_timeout", "duration", duration(1), "how long running jobs may take to end when the role changes"),
	entry("targets.*.pooler", "pooler", choice("none", "transaction"), "what stands before Postgres: none, or transaction for PgBouncer"),
	entry("queues.*.concurrency", "number", integer(1), "how many jobs of the queue run at a time"),
	entry("worker.poll_interval", "duration", duration(1), "how often to look for jobs without a notification"),
	entry("worker.lease", "duration", duration(time.Second), "how long a worker that is not heard of keeps its jobs"),
	entry("worker.retention", "duration", duration(1), "how long finished jobs are kept"),
	entry("worker.job_timeout", "duration", duration(0), "how long one attempt may take, 0 for any time"),
	entry("worker.max_losses", "number", integer(1), "how many lost workers discard a job"),
	entry("worker.max_bytes", "number", integer(1), "how many bytes of args and metadata are held at a time"),
	entry("handlers.*.*", "value", anything, "a key of the handler of this kind of job"),
	entry("http.addr", "host:port", text(checkAddr), "address of the worker's web server, empty for none"),
	entry("http.read_only", "bool", boolean, "refuse requests that change something"),
	fileEntry("http.token_file", nil, "file with the token that all requests but probes, /version and /metrics must bring"),
	entry("http.hosts", "names", hosts, "names by which browsers reach the server, as through an Ingress; needed without a token to change something"),
	entry("http.ready_requires", "targets", list, "targets that must be served, once wanted, to be ready"),
	entry("log.level", "level", choice("debug", "info", "warn", "error"), "least level that is logged"),
	entry("log.format", "format", choice("json", "text"), "json or text"),
}

func entry(path, kind string, parse parser, usage string) key {
	return key{path: strings.Split(path, "."), kind: kind, parse: parse, usage: usage}
}

func secretEntry(path, usage string) key {
	k := entry(path, dsnKind, line(text(checkDSNKey)), usage)
	k.secret = true
	return k
}

// fileEntry is a file that holds a secret, in whose place people put the secret itself.
func fileEntry(path string, check func(string) *fault, usage string) key {
	k := entry(path, "file", text(check), usage)
	k.secret = true
	return k
}

// node is a place in the tree of keys: a leaf has a key, a section children,
// by name or for any name.
type node struct {
	key      *key
	children map[string]*node
	checkAny func(name string) *fault // for sections whose names are the user's
}

// nameChecks are the sections whose names are the user's own.
var nameChecks = map[string]func(string) *fault{
	"roles": checkRoleName, "targets": checkTargetName, "queues": checkQueueName, "handlers": checkKind,
}

// root is the tree of keys.
var root = buildTree()

func buildTree() *node {
	top := &node{children: map[string]*node{}}
	for i := range keys {
		at := top
		for _, part := range keys[i].path {
			if at.children[part] == nil {
				at.children[part] = &node{children: map[string]*node{}}
			}
			at = at.children[part]
		}
		at.key = &keys[i]
	}
	for section, check := range nameChecks {
		top.children[section].checkAny = check
	}
	return top
}

// child is the node of that name below n, nil if there is none.
func (n *node) child(name string) *node {
	if c := n.children[name]; c != nil && name != anyName {
		return c
	}
	return n.children[anyName]
}

// known lists every key and section, with path's own name, which is always
// the second part, in the place of the user's.
func known(path []string) [][]string {
	var out [][]string
	for _, k := range keys {
		filled := slices.Clone(k.path)
		for i := range filled {
			if filled[i] == anyName && i == 1 && len(path) > 1 {
				filled[i] = path[1]
			} else if filled[i] == anyName {
				filled[i] = "NAME"
			}
		}
		for depth := 1; depth <= len(filled); depth++ {
			out = append(out, filled[:depth])
		}
	}
	return out
}

// nearestKey is the known key that path most likely means: one spelt much
// like it or, at a slightly higher price, one that stands elsewhere and whose
// last part is spelt so.
func nearestKey(path []string) []string {
	const elsewhere = 3 // of twice the edits, so that it never ties
	word, last := clip(strings.Join(path, ".")), clip(path[len(path)-1])
	var best []string
	least := 0
	for _, candidate := range known(path) {
		cost := 2 * distance(word, strings.Join(candidate, "."))
		if len(candidate) > 1 && !userNamed(candidate) {
			cost = min(cost, 2*distance(last, candidate[len(candidate)-1])+elsewhere)
		}
		if best == nil || cost < least {
			best, least = candidate, cost
		}
	}
	return best
}

// clip bounds what an absurdly long key costs to compare.
func clip(word string) string { return word[:min(len(word), 128)] }

// userNamed says whether the last part of path is a name of the user's own.
func userNamed(path []string) bool {
	return len(path) == 2 && nameChecks[path[0]] != nil || len(path) == 3 && path[0] == "handlers"
}
