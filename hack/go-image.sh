#!/bin/sh
# Sees to it that there is an image with Go to build Understudy's own image in,
# and prints its name: golang, of the version that go.mod asks for, if it is on
# this machine or can be pulled, and else a stand-in that is built from this
# machine's Go and Debian's packages. A stand-in is kept for later builds.
#
#   hack/go-image.sh          sees to it
#   hack/go-image.sh --check  only says, by its exit code, whether there is one, pulled if need be
set -eu
cd "$(dirname "$0")"
me=go-image
. ./debian-image.sh

# official is the image's name: Go 1.26.3 is in golang:1.26, or a later one is.
official() { echo "golang:$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' ../go.mod)"; }

stand_in() {
  version=$(cd .. && go env GOVERSION) || fail "there is no Go to build a stand-in for $(official) from: install it"
  echo "understudy-golang:${version#go}"
}

recipe() { cat debian-image.sh go-image.sh go-image/* | cksum | tr -d ' '; }

# add_go copies this machine's Go into the tree. In a distribution's package it
# has links to elsewhere.
add_go() {
  as_root cp -RL "$(cd .. && go env GOROOT)" "$work/tree/usr/local/go"
  as_root chmod -R a+rX,u+w "$work/tree/usr/local/go"
}

# add_trust copies the certificates that this machine trusts, a company's proxy's
# among them, to download modules by. They stay out of what is built: Debian's
# own stand where an image takes them from.
add_trust() {
  trusted=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
  [ -f "$trusted" ] || trusted=$work/tree/etc/ssl/certs/ca-certificates.crt
  as_root install -m 644 "$trusted" "$work/tree/usr/local/share/machine-certificates.crt"
}

# build IMAGE builds the stand-in.
build() {
  check_builder "$1"
  echo "Building $1 from this machine's Go and Debian's packages: a few minutes, once." >&2
  make_work
  bootstrap trixie ca-certificates
  slim
  add_go
  add_trust
  pack go-image "$1"
}

# here prints the name of an image that is on this machine.
here() {
  if on_machine "$(official)"; then
    official
  elif is_current "$(stand_in)"; then
    stand_in
  else
    return 1
  fi
}

# find_image prints the name of an image that is here, or was pulled.
find_image() { here || docker pull --quiet "$(official)" 2>/dev/null; }

provide() {
  ! find_image || return 0
  build "$(stand_in)"
  stand_in
}

main() {
  check_engine
  case "${1:-}" in
    "") provide ;;
    --check) find_image >/dev/null ;;
    *) fail "unknown argument $1: give none, or --check" ;;
  esac
}

main "$@"
