# What the scripts have in common that build an image from Debian's packages:
# each includes this, in this folder. It sets `me`, the name that its complaints
# begin with, and defines `recipe`, which prints what changes when the image
# has to be built anew.
#
# $DEBIAN_MIRROR is where the packages come from, if not from debootstrap's default.
#
# shellcheck shell=sh

fail() {
  echo "$me: $*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

check_engine() {
  docker version >/dev/null 2>&1 ||
    fail "there is no Docker engine to talk to: start one, or install it (https://docs.docker.com/engine/install/)"
}

on_machine() { docker image inspect "$1" >/dev/null 2>&1; }

label=understudy.recipe

# is_current IMAGE says whether an image is here, and built by today's recipe.
is_current() {
  [ "$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null)" = "$(recipe)" ]
}

# check_builder IMAGE says what is missing to build one. debootstrap is where
# only root looks for programs.
check_builder() {
  PATH="$PATH:/usr/sbin" command -v debootstrap >/dev/null 2>&1 ||
    fail "$1 is built with debootstrap, which is not here: install it (the packages debootstrap and debian-archive-keyring)"
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null 2>&1 || fail "$1 can be built by root only: run $0 as root"
}

# make_work makes the working directory, for as long as the script runs.
make_work() {
  work=$(mktemp -d)
  trap remove_work EXIT
  trap 'exit 130' INT TERM HUP
  chmod 755 "$work"
}

# remove_work takes it away, and what an interrupted debootstrap left mounted
# in it.
remove_work() {
  for mounted in proc sys; do
    as_root umount "$work/tree/$mounted" 2>/dev/null || true
  done
  as_root find "$work" -xdev -delete
}

# bootstrap SUITE PACKAGES installs a Debian with these packages in $work/tree.
# The mirror's argument is left out for debootstrap's default.
bootstrap() {
  if ! as_root debootstrap --variant=minbase --include="$2" \
    "$1" "$work/tree" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$work/log" 2>&1; then
    fail "install Debian $1 in a directory: $(tail -n 1 "$work/log")"
  fi
}

# slim PATTERNS removes from the tree what these name, and what no image needs:
# downloads, documentation, translations.
slim() {
  as_root sh -c 'cd "$1" && shift && rm -rf $*' sh "$work/tree" 'var/cache/apt/* var/lib/apt/lists/* var/log/*' \
    'usr/share/doc/* usr/share/man/* usr/share/info/* usr/share/locale/* usr/share/i18n/*' "$*"
}

# pack FOLDER IMAGE FLAGS builds the image from a Dockerfile's folder and the
# tree, with these flags of docker build. What it replaces is removed.
pack() {
  folder=$1 image=$2
  shift 2
  old=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null) || old=
  mkdir "$work/context"
  cp "$folder"/* "$work/context"
  as_root tar -C "$work/tree" -cf - . >"$work/context/tree.tar"
  docker build --quiet "$@" --label "$label=$(recipe)" --tag "$image" "$work/context" >"$work/log" 2>&1 ||
    fail "make the image $image: $(tail -n 1 "$work/log")"
  [ -z "$old" ] || docker image rm "$old" >/dev/null 2>&1 || true
}
