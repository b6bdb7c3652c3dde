package reload

import "time"

// Config is the whole configuration, checked. It is made by Load and not
// changed afterwards. Field tags are the keys of the YAML file.
type Config struct {
	// Version is what this worker reports as its version.
	Version string  `koanf:"version"`
	Podinfo Podinfo `koanf:"podinfo"`
	// Roles maps a role to the name of the target it serves.
	Roles map[string]string `koanf:"roles"`
	// Targets are the targets by name.
	Targets map[string]TargetConfig `koanf:"targets"`
	// Queues are the queues that are worked, by name.
	Queues map[string]Queue `koanf:"queues"`
	Worker Worker           `koanf:"worker"`
	// Handlers describes a handler per kind of job: its type and that type's own keys.
	Handlers map[string]map[string]any `koanf:"handlers"`
	HTTP     HTTP                      `koanf:"http"`
	Log      Log                       `koanf:"log"`
}

// Podinfo says how a process learns its role.
type Podinfo struct {
	// Dir holds the pod's labels, written by a Downward API volume.
	Dir string `koanf:"dir"`
	// RoleLabel is the key of the label whose value is the role.
	RoleLabel string `koanf:"role_label"`
	// Grace is how long the last good read counts while the files cannot be read.
	Grace time.Duration `koanf:"grace"`
	// Role, if not empty, is the role for good: for use without Kubernetes.
	Role string `koanf:"role"`
}

// MigrationMode is what a worker does about a target's migrations on start-up.
type MigrationMode string

// The migration modes.
const (
	// MigrationsApply creates the schema and migrates it.
	MigrationsApply MigrationMode = "apply"
	// MigrationsVerify only checks that the schema is migrated.
	MigrationsVerify MigrationMode = "verify"
)

// Pooler is what stands between the worker and Postgres.
type Pooler string

// The poolers.
const (
	// PoolerNone is a direct connection, or a pooler in session mode.
	PoolerNone Pooler = "none"
	// PoolerTransaction is PgBouncer in transaction mode: no LISTEN, no
	// session locks, no prepared statements.
	PoolerTransaction Pooler = "transaction"
)

// TargetConfig is one target as it is configured: see Target for what becomes of it.
type TargetConfig struct {
	// DSN is where the target's server is, DSNFile a file that says so. One
	// of the two is set.
	DSN     Secret `koanf:"dsn"`
	DSNFile string `koanf:"dsn_file"`
	// MigrateDSN is used for migrations, MigrateDSNFile a file that says which.
	// At most one of the two is set; neither means the same as otherwise.
	MigrateDSN     Secret `koanf:"migrate_dsn"`
	MigrateDSNFile string `koanf:"migrate_dsn_file"`
	// Schema is the name of the schema, or a template of it: see ExpandSchema.
	Schema     string        `koanf:"schema"`
	Migrations MigrationMode `koanf:"migrations"`
	// AppMigrations is a directory of the application's own migrations, "" for none.
	AppMigrations string `koanf:"app_migrations"`
	// DrainTimeout is how long running jobs may take to end when the role changes.
	DrainTimeout time.Duration `koanf:"drain_timeout"`
	Pooler       Pooler        `koanf:"pooler"`
}

// Queue is one queue as it is worked.
type Queue struct {
	// Concurrency is how many of its jobs run at a time, at least 1.
	Concurrency int `koanf:"concurrency"`
}

// Worker is how jobs are claimed and kept.
type Worker struct {
	// PollInterval is how long to wait for a notification before looking for jobs.
	PollInterval time.Duration `koanf:"poll_interval"`
	// Lease is how long a worker that is not heard of keeps its jobs, at least 1 s.
	Lease time.Duration `koanf:"lease"`
	// Retention is how long finished jobs are kept.
	Retention time.Duration `koanf:"retention"`
	// JobTimeout is how long one attempt may take, 0 for as long as it likes.
	JobTimeout time.Duration `koanf:"job_timeout"`
	// MaxLosses is how many lost workers discard a job, at least 1.
	MaxLosses int `koanf:"max_losses"`
	// MaxBytes is how many bytes of arguments and metadata the jobs may have that
	// a worker holds at a time, at least 1.
	MaxBytes int `koanf:"max_bytes"`
}

// HTTP is the worker's own web server.
type HTTP struct {
	// Addr is host:port to listen on; "" for no server.
	Addr string `koanf:"addr"`
	// ReadOnly refuses every request that would change something.
	ReadOnly bool `koanf:"read_only"`
	// TokenFile holds the token that all requests but probes, /version and
	// /metrics must bring, "" for none.
	TokenFile string `koanf:"token_file"`
	// Hosts are names by which browsers reach the server, besides addresses,
	// localhost, single labels and the cluster's names: without a token, who asks
	// for another may change nothing.
	Hosts []string `koanf:"hosts"`
	// ReadyRequires names the targets that must be served, once wanted, for
	// the worker to be ready.
	ReadyRequires []string `koanf:"ready_requires"`
}

// Log is what is logged, and how.
type Log struct {
	// Level is debug, info, warn or error.
	Level string `koanf:"level"`
	// Format is json or text.
	Format string `koanf:"format"`
}
