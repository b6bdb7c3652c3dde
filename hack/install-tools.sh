#!/bin/sh
# Sees to it that this machine has what the demo, the tests or the image need
# besides Go and make. What is missing is installed from the distribution's packages:
# asked on a terminal, without asking under CI=true or YES=1. Where that cannot
# be, one line says what to install.
#
#   hack/install-tools.sh demo [the demo's flags]
#   hack/install-tools.sh test [go test's flags]
#   hack/install-tools.sh image
#
# The tests run servers in containers, which takes a Docker engine and images
# (postgres-image.sh), hold the alert rules against promtool, and look at the pages
# in a browser. Under -short they do not. The image is built in another (go-image.sh).
set -eu
cd "$(dirname "$0")/.."

fail() {
  echo "install-tools: $*" >&2
  exit 1
}

# The Go that go.mod asks for: an older one fetches it by itself, unless it is
# told not to or cannot.
check_go() {
  command -v go >/dev/null 2>&1 || fail "there is no Go: install Go $(wanted_go) or newer"
  complaint=$(go list -m 2>&1 >/dev/null) ||
    fail "$(go version | cut -d' ' -f3) does not do: install Go $(wanted_go) or newer ($(echo "$complaint" | head -n 1))"
}

wanted_go() { sed -n 's/^go //p' go.mod; }

# Postgres server binaries, looked for just as the program does.
has_postgres() { bin/findpostgres >/dev/null 2>&1; }

# A C compiler with its library's headers, which the race detector links with.
has_compiler() {
  printf '#include <stdlib.h>\nint main(void) { return 0; }\n' |
    $(go env CC) -x c -o bin/compiled - >/dev/null 2>&1 && rm -f bin/compiled
}

# The demo takes a server that it is given, or runs one in Docker.
demo_has_server() {
  case " $* " in *" --dsn"[\ =]*) return 0 ;; esac
  has_postgres || docker version >/dev/null 2>&1
}

# tests_all COMMAND FLAGS says whether a command runs the long tests too: those
# with servers in containers, with promtool and with a browser.
tests_all() {
  case " $* " in
    *" -short "* | *" --short "* | *" -short=true "* | *" --short=true "*) return 1 ;;
  esac
  [ "$1" = test ]
}

# Prometheus' tool that checks rules, of this machine or in bin.
has_promtool() { command -v promtool >/dev/null 2>&1 || [ -x bin/promtool ]; }

# A browser, under one of the names that the tests look for.
has_browser() {
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    ! command -v "$name" >/dev/null 2>&1 || return 0
  done
  return 1
}

# needs_docker COMMAND FLAGS says whether a command cannot do without it.
needs_docker() { [ "$1" = image ] || tests_all "$@"; }

# A Docker engine is not ours to install: it comes with a service and rights.
check_docker() {
  complaint=$(docker version 2>&1 >/dev/null) || fail "$(needs_engine "$1"), and there is no Docker engine to talk to" \
    "($(echo "$complaint" | tail -n 1)): start it, or install it (https://docs.docker.com/engine/install/)$(or_without "$1")"
}

needs_engine() {
  case "$1" in
    test) echo "the tests run servers in containers" ;;
    image) echo "the image is built by Docker" ;;
  esac
}

or_without() { [ "$1" != test ] || echo ", or test without: make test TESTFLAGS=-short"; }

# has_builder CHECK says whether the images that CHECK looks for are here or can
# be built. The builder is where only root looks for programs.
has_builder() {
  "$1" --check || PATH="$PATH:/usr/sbin" command -v debootstrap >/dev/null 2>&1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# manager names this machine's package manager, or nothing.
manager() {
  for name in brew apt-get dnf apk; do
    if command -v "$name" >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
}

# may_install says whether this user can use it.
may_install() {
  [ "$(manager)" = brew ] || [ "$(id -u)" = 0 ] || command -v sudo >/dev/null 2>&1
}

# packages MANAGER THING names the packages that hold a thing.
packages() {
  case "$1 $2" in
    "apt-get postgres" | "apk postgres") echo postgresql ;;
    "dnf postgres") echo postgresql-server ;;
    "brew postgres") echo postgresql@17 ;;
    "apt-get compiler") echo gcc libc6-dev ;;
    "apk compiler") echo gcc musl-dev ;;
    "dnf compiler" | "brew compiler") echo gcc ;;
    "apt-get builder") echo debootstrap debian-archive-keyring ;;
    "dnf builder" | "apk builder") echo debootstrap ;;
    "apt-get browser") echo chromium fonts-liberation ;;
    "dnf browser" | "apk browser") echo chromium ;;
    "apt-get promtool" | "apk promtool" | "brew promtool") echo prometheus ;;
  esac
}

# unattended says whether to install without asking.
unattended() { [ "${CI:-}" = true ] || [ "${YES:-}" = 1 ]; }

# consent asks before anything is installed.
consent() {
  printf 'Install them now? [y/N] '
  read -r answer || answer=
  case "$answer" in
    [yY]*) ;;
    *) fail "nothing was installed: $1, or run this again with YES=1" ;;
  esac
}

# On Debian and Ubuntu the server's package makes a cluster and starts it on
# port 5432, which nobody asked for: this setting, there only meanwhile, says no.
# Source: man pg_createcluster, create_main_cluster and include_dir.
no_cluster=/etc/postgresql-common/createcluster.d/understudy.conf

apt_install() {
  trap 'as_root rm -f "$no_cluster"' EXIT
  trap 'exit 130' INT TERM
  as_root mkdir -p "$(dirname "$no_cluster")"
  echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# unpacked THING says whether a thing is taken out of its package: on Debian and
# Ubuntu the one that holds promtool is a server's, and starts it when installed.
unpacked() { [ "$(manager) $1" = "apt-get promtool" ]; }

# unpack_promtool leaves nothing on this machine but bin/promtool.
unpack_promtool() (
  into=$PWD/bin
  apt-get download --print-uris prometheus >/dev/null 2>&1 || as_root apt-get update -q
  cd "$(mktemp -d)"
  trap 'rm -rf "$PWD"' EXIT
  trap 'exit 130' INT TERM
  apt-get download -q -o APT::Sandbox::User=root prometheus
  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/promtool >promtool
  chmod +x promtool
  ./promtool --version >/dev/null
  mv promtool "$into/promtool"
)

install() {
  case "$(manager)" in
    apt-get) apt_install "$@" ;;
    dnf) as_root dnf install -y "$@" ;;
    apk) as_root apk add "$@" ;;
    brew) brew install "$@" ;;
  esac
}

# missing lists the things that are not there.
missing() {
  case "$1" in
    demo)
      shift
      demo_has_server "$@" || echo postgres
      ;;
    test)
      has_postgres || echo postgres
      has_compiler || echo compiler
      ! tests_all "$@" || has_builder hack/postgres-image.sh || echo builder
      ! tests_all "$@" || has_promtool || echo promtool
      ! tests_all "$@" || has_browser || echo browser
      ;;
    image) has_builder hack/go-image.sh || echo builder ;;
  esac
}

# why THING says what a thing is and what needs it.
why() {
  case "$1" in
    postgres) echo "Postgres server binaries (for a temporary server of the demo's or the tests' own)" ;;
    compiler) echo "a C compiler (Go's race detector, under which the tests run, is linked with one)" ;;
    builder) echo "debootstrap (images that cannot be pulled are built with it)" ;;
    browser) echo "Chromium (in which the pages are tested)" ;;
    promtool) echo "promtool (Prometheus' tool, with which the alert rules are tested)" ;;
  esac
}

# get installs the things that are missing, or says in one line what to do.
get() {
  reasons= wanted= unknown= promtool=
  for thing in "$@"; do
    reasons="$reasons${reasons:+, }$(why "$thing")"
    names=$(packages "$(manager)" "$thing")
    [ -n "$names" ] || unknown="$unknown${unknown:+, }$(why "$thing")"
    if unpacked "$thing"; then promtool=yes; else wanted="$wanted${wanted:+ }$names"; fi
  done
  [ -n "$(manager)" ] || fail "missing: $reasons: install them; there is no package manager here that this script knows"
  [ -z "$unknown" ] || fail "missing: $unknown: $(manager) has no package of it"
  advice="${wanted:+install with $(manager): $wanted}"
  [ -z "$promtool" ] || advice="$advice${advice:+, and }put promtool of the package prometheus into bin"
  [ -z "$wanted" ] || may_install || fail "missing: $reasons: as root, $advice"
  if ! unattended; then
    [ -t 0 ] && [ -t 1 ] || fail "missing: $reasons: $advice, or run this again with YES=1"
  fi
  echo "Missing: $reasons. To $advice."
  unattended || consent "$advice"
  # shellcheck disable=SC2086 # a list of words
  [ -z "$wanted" ] || install $wanted
  [ -z "$promtool" ] || unpack_promtool
}

# get_images COMMAND sees to what the containers are made of.
get_images() {
  case "$1" in
    test)
      hack/postgres-image.sh
      hack/postgres-image.sh --pgbouncer
      ;;
    image) hack/go-image.sh >/dev/null ;;
  esac
}

main() {
  case "${1:-}" in
    demo | test | image) ;;
    *) fail "say what for: demo, test or image" ;;
  esac
  check_go
  go build -buildvcs=false -o bin/findpostgres ./hack/findpostgres
  ! needs_docker "$@" || check_docker "$1"
  things=$(missing "$@")
  if [ -n "$things" ]; then
    # shellcheck disable=SC2086 # a list of words
    get $things
    still=$(missing "$@")
    [ -z "$still" ] || fail "the packages are installed, yet these are still missing:" $still
  fi
  ! needs_docker "$@" || get_images "$1"
}

main "$@"
