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
#
# $DEBIAN_MIRROR is where the packages come from, if not from debootstrap's default.
set -eu
cd "$(dirname "$0")"

fail() {
  echo "postgres-image: $*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# suite MAJOR names the Debian release that has this Postgres.
suite() {
  case "$1" in
    15) echo bookworm ;;
    17) echo trixie ;;
  esac
}

# major IMAGE is the Postgres that an image's tag names. A host may have a port.
major() { echo "${1##*/}" | sed -n 's/^[^:]*:\([0-9][0-9]*\).*/\1/p'; }

on_machine() { docker image inspect "$1" >/dev/null 2>&1; }

# recipe is what a stand-in was built by. A changed one builds anew.
recipe() { cat postgres-image.sh postgres-image/* | cksum | tr -d ' '; }

label=understudy.recipe

is_current() {
  [ "$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null)" = "$(recipe)" ]
}

# remove takes the working directory away, and what an interrupted debootstrap
# left mounted in it.
remove() {
  for mounted in proc sys; do
    as_root umount "$work/tree/$mounted" 2>/dev/null || true
  done
  as_root find "$work" -xdev -delete
}

# bootstrap SUITE TREE installs the packages. The mirror's argument is left out
# for debootstrap's default.
bootstrap() {
  if ! as_root debootstrap --variant=minbase --include=postgresql,gosu,pgbouncer \
    "$1" "$2" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$work/log" 2>&1; then
    fail "install Debian $1 in a directory: $(tail -n 1 "$work/log")"
  fi
}

# slim TREE removes what no server needs: downloads, documentation,
# translations, the JIT compiler, and the cluster that Debian's package makes.
slim() {
  as_root sh -c 'cd "$1" && rm -rf var/cache/apt/* var/lib/apt/lists/* var/log/* var/lib/postgresql/* etc/postgresql/* \
    usr/share/doc/* usr/share/man/* usr/share/info/* usr/share/locale/* usr/share/i18n/* \
    usr/lib/postgresql/*/lib/llvmjit* usr/lib/postgresql/*/lib/bitcode usr/lib/*/libLLVM*' sh "$1"
}

# pack MAJOR IMAGE makes the image. What it replaces is removed.
pack() {
  old=$(docker image inspect --format '{{.Id}}' "$2" 2>/dev/null) || old=
  mkdir "$work/context"
  cp postgres-image/Dockerfile postgres-image/entrypoint.sh "$work/context"
  as_root tar -C "$work/tree" -cf - . >"$work/context/tree.tar"
  docker build --quiet --build-arg "MAJOR=$1" --label "$label=$(recipe)" --tag "$2" "$work/context" >"$work/log" 2>&1 ||
    fail "make the image $2: $(tail -n 1 "$work/log")"
  [ -z "$old" ] || docker image rm "$old" >/dev/null 2>&1 || true
}

# build MAJOR builds the stand-in, unless it is there.
build() {
  image=understudy-postgres:$1
  ! is_current "$image" || return 0
  PATH="$PATH:/usr/sbin" command -v debootstrap >/dev/null 2>&1 ||
    fail "$image is built with debootstrap, which is not here: install it (the packages debootstrap and debian-archive-keyring)"
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null 2>&1 || fail "$image can be built by root only: run $0 as root"
  echo "Building $image from the packages of Debian $(suite "$1"): about a minute, once."
  work=$(mktemp -d)
  trap remove EXIT
  trap 'exit 130' INT TERM HUP
  chmod 755 "$work"
  bootstrap "$(suite "$1")" "$work/tree"
  slim "$work/tree"
  pack "$1" "$image"
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
  docker version >/dev/null 2>&1 || fail "there is no Docker engine to talk to: start one, or install it (https://docs.docker.com/engine/install/)"
  default=${UNDERSTUDY_POSTGRES_IMAGE:-postgres:17}
  case "${1:-}" in
    --pgbouncer) build 15 ;;
    --check) is_here "$default" && is_current understudy-postgres:15 ;;
    -*) fail "unknown flag $1: give an image, --pgbouncer or --check" ;;
    *) provide "${1:-$default}" ;;
  esac
}

main "$@"
