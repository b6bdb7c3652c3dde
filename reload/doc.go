// Package reload turns configuration and pod files into immutable, comparable
// Snapshots: which role this process has, and which target it is to serve.
//
// Load merges, by koanf, the defaults, a YAML file, the environment and flags
// into a Config, once. A Watcher then follows what may change while the
// process runs: the pod's labels, as a Downward API volume or plain files show
// them, and the files that hold DSNs.
package reload

// delim is the delimiter of every koanf here. No key can hold it, unlike the
// dots and slashes that label keys and role names are full of.
const delim = "\x1f"
