package container

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
)

const ready = "database system is ready to accept connections"

// TestImageKeepsTheContractOfAFirstStart holds for the official image and for
// its stand-in.
func TestImageKeepsTheContractOfAFirstStart(t *testing.T) {
	t.Parallel()
	s := runImage(t,
		testcontainers.WithEnv(map[string]string{
			"POSTGRES_USER": "boss", "POSTGRES_PASSWORD": "let me in", "POSTGRES_DB": "shop",
			"POSTGRES_INITDB_ARGS": "--data-checksums --locale-provider='libc'",
		}),
		testcontainers.WithCmd("-c", "work_mem=5MB"),
		initFile("10-table.sql", "CREATE TABLE steps (n serial, name text); INSERT INTO steps (name) VALUES (current_database())"),
		// Who could connect before it has ended would miss a row.
		initFile("20-row.sh", `sleep 1; psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -c "INSERT INTO steps (name) VALUES ('sh')"`),
		initFile("30-row.sql.gz", zipped(t, "INSERT INTO steps (name) VALUES ('gz')")),
		initFile("40-readme.txt", "INSERT INTO steps (name) VALUES ('txt')"),
	)
	p := &Postgres{server: s, login: "boss", password: "let me in"}
	if err := p.awaitReady(t.Context(), p.ping); err != nil {
		t.Fatal(err)
	}
	facts := `SELECT (SELECT string_agg(name, ' ' ORDER BY n) FROM steps) || ' ' || current_setting('work_mem') || ' ' || current_setting('data_checksums')
		|| ' ' || (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)`
	want := "shop sh gz 5MB on true"
	if got := query[string](t, p.DSN("shop"), facts); got != want {
		t.Errorf("after the first start %q, want %q", got, want)
	}
	if got := count(t, s, ready); got != 2 {
		t.Errorf("the log says %d times that the server is ready, want twice: for the init files, and for good", got)
	}

	if err := p.Restart(t.Context(), Fast); err != nil {
		t.Fatal(err)
	}
	if got := query[string](t, p.DSN("shop"), facts); got != want {
		t.Errorf("after the second start %q, want %q", got, want)
	}
	if got := count(t, s, ready); got != 3 {
		t.Errorf("the log says %d times that the server is ready, want 3: a second start makes nothing anew", got)
	}
}

func TestImageReadsItsSettingsFromFiles(t *testing.T) {
	t.Parallel()
	s := runImage(t,
		testcontainers.WithEnv(map[string]string{
			"POSTGRES_USER_FILE": "/run/user", "POSTGRES_PASSWORD_FILE": "/run/password", "POSTGRES_DB_FILE": "/run/db",
		}),
		file("/run/user", "boss\n"), file("/run/password", "let me in\n"), file("/run/db", "shop\n"),
	)
	p := &Postgres{server: s, login: "boss", password: "let me in"}
	if err := p.awaitReady(t.Context(), p.ping); err != nil {
		t.Fatal(err)
	}
	if got := query[string](t, p.DSN("shop"), "SELECT current_user || ' ' || current_database()"); got != "boss shop" {
		t.Errorf("login and database %q, want boss shop", got)
	}
}

// restrictedPod is what a pod lays out before the server starts: a ConfigMap's
// files, which are links, and at a later start the data as a kubelet leaves it,
// open to the volume's group.
const restrictedPod = `
cd /docker-entrypoint-initdb.d
mkdir ..1
echo "CREATE TABLE linked (n int)" >..1/10-table.sql
ln -s ..1 ..data
ln -s ..data/10-table.sql 10-table.sql
if [ -d "$PGDATA" ]; then
  find "$PGDATA" -exec chmod g+rwX '{}' +
  find "$PGDATA" -type d -exec chmod g+s '{}' +
fi
exec docker-entrypoint.sh postgres`

func TestImageRunsAsARestrictedPodAndStartsAgainOnAVolumeOfItsGroup(t *testing.T) {
	t.Parallel()
	s := runImage(t,
		testcontainers.WithEnv(map[string]string{"POSTGRES_PASSWORD": "let me in", "PGDATA": dataDir + "/pgdata"}),
		testcontainers.WithEntrypoint("sh", "-euc", restrictedPod),
		testcontainers.WithConfigModifier(func(config *container.Config) { config.User = "999:999" }),
		testcontainers.WithHostConfigModifier(func(host *container.HostConfig) {
			host.ReadonlyRootfs = true
			host.CapDrop = []string{"ALL"}
			host.SecurityOpt = []string{"no-new-privileges"}
			// Each has the mode of the directory that it covers: the last one's lets only its owner write.
			host.Tmpfs = map[string]string{"/tmp": "", socketDir: "", "/docker-entrypoint-initdb.d": "uid=999"}
		}),
	)
	p := &Postgres{server: s, login: superuser, password: "let me in"}
	if err := p.awaitReady(t.Context(), p.ping); err != nil {
		t.Fatal(err)
	}
	run(t, p.DSN("postgres"), "INSERT INTO linked VALUES (1)")
	if err := p.Restart(t.Context(), Fast); err != nil {
		t.Fatal(err)
	}
	if got := query[int](t, p.DSN("postgres"), "SELECT count(*) FROM linked"); got != 1 {
		t.Errorf("%d rows after the second start, want the one of the first", got)
	}
}

func TestImageAsksForThePassword(t *testing.T) {
	t.Parallel()
	p := Shared(t)
	conn, err := pgx.Connect(t.Context(), p.LoginDSN(superuser, "wrong", "postgres"))
	if err == nil {
		_ = conn.Close(t.Context())
	}
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || refusal.Code != "28P01" {
		t.Errorf("a wrong password: %v, want it refused", err)
	}
}

func TestImageWithoutAPasswordEndsUnlessToldToTrust(t *testing.T) {
	t.Parallel()
	s := runImage(t)
	if err := s.awaitEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state, err := s.state(t.Context()); err != nil || state.ExitCode != 1 || count(t, s, "POSTGRES_PASSWORD") == 0 {
		t.Errorf("state %+v, error %v, log %q: want exit code 1 and a word of POSTGRES_PASSWORD", state, err, s.logTail(t.Context()))
	}

	trusting := runImage(t, testcontainers.WithEnv(map[string]string{"POSTGRES_HOST_AUTH_METHOD": "trust"}))
	p := &Postgres{server: trusting, login: superuser}
	if err := p.awaitReady(t.Context(), p.ping); err != nil {
		t.Error(err)
	}
}

func TestImageRunsAnotherCommandAsItIs(t *testing.T) {
	t.Parallel()
	s := runImage(t, testcontainers.WithCmd("sh", "-c", "echo $(id -u) $PG_MAJOR $PGDATA; ls -A $PGDATA; postgres --version"))
	if err := s.awaitEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := s.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	major := strconv.Itoa(Shared(t).Major())
	if len(lines) != 2 || lines[0] != "0 "+major+" /var/lib/postgresql/data" || !strings.HasPrefix(lines[1], "postgres (PostgreSQL) "+major) {
		t.Errorf("log %q, want root, version %s, an empty data directory", text, major)
	}
}

func TestImageStopsByAFastShutdown(t *testing.T) {
	t.Parallel()
	p := StartPostgres(t, nil)
	open(t, p.DSN("postgres")) // a session is in nobody's way
	patience := 30 * time.Second
	if err := p.container.Stop(t.Context(), &patience); err != nil {
		t.Fatal(err)
	}
	if state, err := p.state(t.Context()); err != nil || state.ExitCode != 0 || count(t, p.server, "received fast shutdown request") != 2 {
		t.Errorf("state %+v, error %v, log %q: want exit code 0 after a second fast shutdown", state, err, p.logTail(t.Context()))
	}
}

func TestImageThatIsMissingIsNamedWithWhatToDo(t *testing.T) {
	t.Parallel()
	needEngine(t)
	code, out := again(t, ImageVariable+"=nobody/nothing:1")
	want := "container: there is no image nobody/nothing:1 on this machine, nor one in its place: " +
		"run hack/postgres-image.sh nobody/nothing:1, or make test, which does\n"
	if code != 1 || out != want {
		t.Errorf("exit code %d, output %q; want 1 and %q", code, out, want)
	}
}

func TestStandInsAreOfTheSameMajorVersion(t *testing.T) {
	t.Parallel()
	for image, want := range map[string][]string{
		"postgres:17":              {"postgres:17", "understudy-postgres:17"},
		"postgres:15.4-alpine":     {"postgres:15.4-alpine", "understudy-postgres:15"},
		"host:5000/mine/postgres":  {"host:5000/mine/postgres"},
		"host:5000/postgres:17":    {"host:5000/postgres:17", "understudy-postgres:17"},
		"postgres":                 {"postgres"},
		"postgres:latest":          {"postgres:latest"},
		"postgres:17@sha256:01234": {"postgres:17@sha256:01234", "understudy-postgres:17"},
	} {
		if diff := cmp.Diff(want, candidates(image)); diff != "" {
			t.Errorf("candidates for %s (-want +got):\n%s", image, diff)
		}
	}
}

// runImage runs the image of Postgres with nothing but the options.
func runImage(t *testing.T, options ...testcontainers.ContainerCustomizer) *server {
	t.Helper()
	e := needEngine(t)
	image, err := e.postgresImage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, own ...testcontainers.ContainerCustomizer) (testcontainers.Container, error) {
		return testcontainers.Run(ctx, image, append(own, options...)...)
	}
	s, err := e.launch(t.Context(), postgresPort, run, func(*container.HostConfig) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(t, "image") })
	return s
}

func initFile(name, text string) testcontainers.ContainerCustomizer {
	return file("/docker-entrypoint-initdb.d/"+name, text)
}

func file(path, text string) testcontainers.ContainerCustomizer {
	return testcontainers.WithFiles(testcontainers.ContainerFile{
		Reader: strings.NewReader(text), ContainerFilePath: path, FileMode: 0o644,
	})
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.WriteString(w, text)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
