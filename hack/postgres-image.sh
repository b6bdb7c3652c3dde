#!/bin/sh
# Sees to it that tests have an image of Postgres to run in containers: the one
# asked for, if it is on this machine or can be pulled, and else a stand-in
# that is built from Debian's packages and keeps the official image's contract
# (postgres-image/). A stand-in is kept for later runs.
#
#   hack/postgres-image.sh [IMAGE]      default: $UNDERSTUDY_POSTGRES_IMAGE or postgres:17
#   hack/postgres-image.sh --pgbouncer  the stand-in of Debian 12, with its PgBouncer 1.18,
#                                       which knows no prepared statements in transaction mode
#   hack/postgres-image.sh --check      only says, by its exit code, whether both are here
set -eu
cd "$(dirname "$0")"
me=postgres-image
. ./debian-image.sh

# suite MAJOR names the Debian release that has this Postgres.
suite() {
  case "$1" in
    15) echo bookworm ;;
    17) echo trixie ;;
  esac
}

# major IMAGE is the Postgres that an image's tag names. A host may have a port.
major() { echo "${1##*/}" | sed -n 's/^[^:]*:\([0-9][0-9]*\).*/\1/p'; }

# recipe is what a stand-in was built by. A changed one builds anew.
recipe() { cat debian-image.sh postgres-image.sh postgres-image/* | cksum | tr -d ' '; }

# build MAJOR builds the stand-in, unless it is there.
build() {
  image=understudy-postgres:$1
  ! is_current "$image" || return 0
  check_builder "$image"
  echo "Building $image from the packages of Debian $(suite "$1"): a few minutes, once."
  make_work
  bootstrap "$(suite "$1")" postgresql,gosu,pgbouncer
  # No server needs the JIT compiler, nor the cluster that Debian's package makes.
  slim 'var/lib/postgresql/* etc/postgresql/*' \
    'usr/lib/postgresql/*/lib/llvmjit* usr/lib/postgresql/*/lib/bitcode usr/lib/*/libLLVM*'
  pack postgres-image "$image" --build-arg "MAJOR=$1"
}

# is_here IMAGE says whether an image is on this machine, itself or its stand-in.
is_here() {
  case "$1" in
    understudy-postgres:*) ;; # built by an older recipe, maybe
    *) ! on_machine "$1" || return 0 ;;
  esac
  is_current "understudy-postgres:$(major "$1")"
}

# provide IMAGE sees to an image.
provide() {
  ! is_here "$1" || return 0
  complaint=$(docker pull --quiet "$1" 2>&1 >/dev/null) && return 0
  [ -n "$(suite "$(major "$1")")" ] ||
    fail "$1 is not on this machine, cannot be pulled ($(echo "$complaint" | tail -n 1)), and cannot be built here: postgres:15 and postgres:17 can"
  build "$(major "$1")"
}

main() {
  check_engine
  default=${UNDERSTUDY_POSTGRES_IMAGE:-postgres:17}
  case "${1:-}" in
    --pgbouncer) build 15 ;;
    --check) is_here "$default" && is_current understudy-postgres:15 ;;
    -*) fail "unknown flag $1: give an image, --pgbouncer or --check" ;;
    *) provide "${1:-$default}" ;;
  esac
}

main "$@"
