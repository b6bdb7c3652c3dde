#!/usr/bin/env bash
# What a container of the stand-in for the official Postgres image starts. It
# keeps that image's contract, so that tests cannot tell the two apart: a first
# start makes the cluster that the environment asks for and runs what lies in
# /docker-entrypoint-initdb.d; a later start finds its data and leaves it alone.
set -euo pipefail

fail() {
  echo "error: $*" >&2
  exit 1
}

# setting NAME DEFAULT sets a variable, from the file that NAME_FILE names if
# that is set.
setting() {
  local name=$1 file_name="${1}_FILE"
  local value="${!name:-}" file="${!file_name:-}"
  [ -z "$value" ] || [ -z "$file" ] || fail "$name and $file_name are both set: set one"
  [ -z "$file" ] || value=$(<"$file")
  export "$name"="${value:-$2}"
  unset "$file_name"
}

read_settings() {
  setting POSTGRES_PASSWORD ""
  setting POSTGRES_USER postgres
  setting POSTGRES_DB "$POSTGRES_USER"
  setting POSTGRES_INITDB_ARGS ""
  setting POSTGRES_HOST_AUTH_METHOD scram-sha-256
  [ -n "$POSTGRES_PASSWORD" ] || [ "$POSTGRES_HOST_AUTH_METHOD" = trust ] ||
    fail "the superuser has no password: set POSTGRES_PASSWORD (or POSTGRES_HOST_AUTH_METHOD=trust, which lets anyone in)"
}

# give_directories makes the server's directories and gives them to its login.
# Kubernetes opens the files of a volume to fsGroup, which Postgres refuses its
# data to be: five digits also take the bit away that hands the group on.
give_directories() {
  mkdir -p "$PGDATA" /var/run/postgresql
  chmod 00700 "$PGDATA" || true
  [ "$(id -u)" = 0 ] || return 0
  find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
}

make_cluster() {
  # initdb refuses an empty password. The arguments may hold quotes.
  local password=
  [ -z "$POSTGRES_PASSWORD" ] || password='--pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD")'
  eval "initdb --username=\"\$POSTGRES_USER\" $password $POSTGRES_INITDB_ARGS"
  printf '\nhost all all all %s\n' "$POSTGRES_HOST_AUTH_METHOD" >>"$PGDATA/pg_hba.conf"
}

# sql runs psql in a database of the temporary server.
sql() {
  PGHOST='' PGHOSTADDR='' psql --no-psqlrc --no-password --set=ON_ERROR_STOP=1 --quiet \
    --username="$POSTGRES_USER" --dbname="$@"
}

make_database() {
  [ "$POSTGRES_DB" = postgres ] ||
    sql postgres --set=name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
}

run_init_file() {
  echo "$0: running $1"
  case "$1" in
    *.sh) if [ -x "$1" ]; then "$1"; else bash "$1"; fi ;;
    *.sql) sql "$POSTGRES_DB" --file="$1" ;;
    *.sql.gz) gunzip --stdout "$1" | sql "$POSTGRES_DB" ;;
    *) echo "$0: ignoring $1" ;;
  esac
}

# initialise makes the cluster. Its temporary server listens on a socket only:
# who connects from outside finds everything done.
initialise() {
  make_cluster
  PGUSER="$POSTGRES_USER" pg_ctl --wait start --options="$(printf '%q ' "$@" -c listen_addresses=)"
  make_database
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    [ ! -f "$file" ] || run_init_file "$file"
  done
  PGUSER="$POSTGRES_USER" pg_ctl --wait --mode=fast stop
  echo "PostgreSQL init process complete; ready for start up."
}

# only_asks says whether the flags ask postgres about itself.
only_asks() {
  case " $* " in
    *" --help "* | *" -? "* | *" --version "* | *" -V "* | *" --describe-config "*) return 0 ;;
  esac
  return 1
}

main() {
  [ "${1:0:1}" != - ] || set -- postgres "$@"
  if [ "$1" != postgres ] || only_asks "$@"; then
    exec "$@"
  fi
  give_directories
  if [ "$(id -u)" = 0 ]; then # which postgres refuses to run as
    exec gosu postgres "$0" "$@"
  fi
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    read_settings
    initialise "${@:2}"
  fi
  exec "$@"
}

main "$@"
