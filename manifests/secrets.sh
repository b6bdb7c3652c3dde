#!/bin/sh
# Prints the Secrets that the overlays need, with new random passwords:
#
#   manifests/secrets.sh | kubectl create -f -
#   manifests/secrets.sh --separate-servers | kubectl create -f -
#   manifests/secrets.sh --production NAMESPACE | kubectl create -n NAMESPACE -f -
#
# create, not apply: the server takes its passwords when it first starts, and
# Secrets that are there already must stay. Who has a database already makes
# worker-production, worker-preview and worker-owner by hand (docs/postgres.md).
set -eu

usage() {
  echo "secrets.sh: $1: there is --separate-servers, and --production NAMESPACE" >&2
  exit 2
}

# random puts a password of 32 letters and digits into $password. An empty or a
# short one would be taken by everybody without a word: then nothing is printed.
random() {
  password=$(LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | head -c 32) && [ "${#password}" -eq 32 ] || {
    echo "secrets.sh: no random passwords are to be had from /dev/urandom: nothing is printed" >&2
    exit 1
  }
}

# draw makes all passwords, before anything is printed: each server has its own
# superuser, and the logins that are used on the other have one that nobody knows.
draw() {
  random; owner=$password
  random; production=$password
  random; preview=$password
  random; scaler=$password
  random; superuser=$password
  random; preview_superuser=$password
  random; unknown_owner=$password
  random; unknown_production=$password
  random; unknown_preview=$password
}

# check_namespace NAMESPACE: it becomes part of a host's name.
check_namespace() {
  LC_ALL=C
  case "$1" in
    '' | -* | *- | *[!a-z0-9-]*) usage "\"$1\" is no name of a namespace, which has a-z, 0-9 and - in it" ;;
  esac
  [ "${#1}" -le 63 ] || usage "\"$1\" is no name of a namespace, which has at most 63 characters"
}

# heading NAME begins a Secret, and ends among its labels.
heading() {
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  labels:\n    app.kubernetes.io/part-of: understudy\n' "$1"
}

# data [KEY VALUE]... ends it.
data() {
  echo stringData:
  while [ $# -gt 0 ]; do
    printf '  %s: "%s"\n' "$1" "$2"
    shift 2
  done
}

# dsn LOGIN PASSWORD HOST PARAMETERS is where a worker connects: previews have a
# database of their own, named like the login that owns it.
dsn() {
  case "$1" in
    preview) database=understudy_preview ;;
    *) database=understudy ;;
  esac
  echo "postgres://understudy_$1:$2@$3:5432/$database?$4"
}

# plain_login LOGIN PASSWORD HOST: the StatefulSet's servers speak no TLS, and
# their max_connections is made for workers whose handlers have four sessions.
plain_login() {
  heading "worker-$1"
  data dsn "$(dsn "$1" "$2" "$3" 'sslmode=disable&pool_max_conns=4')"
}

# server SECRET SUPERUSER OWNER PRODUCTION PREVIEW are the passwords of a
# StatefulSet's server.
server() {
  heading "$1"
  data superuser "$2" owner "$3" production "$4" preview "$5"
}

# managed_login LOGIN PASSWORD HOST PARAMETERS: CloudNativePG sets the password,
# at once when the Secret changes.
managed_login() {
  heading "worker-$1"
  printf '    cnpg.io/reload: "true"\ntype: kubernetes.io/basic-auth\n'
  data username "understudy_$1" password "$2" dsn "$(dsn "$1" "$2" "$3" "$4")"
}

one_server() {
  draw
  plain_login owner "$owner" postgres
  plain_login production "$production" postgres
  plain_login preview "$preview" postgres
  server postgres-passwords "$superuser" "$owner" "$production" "$preview"
}

# Each server has all logins, and knows no password of the other.
separate_servers() {
  draw
  plain_login owner "$owner" postgres
  plain_login production "$production" postgres
  plain_login preview "$preview" postgres-preview
  server postgres-passwords "$superuser" "$owner" "$production" "$unknown_preview"
  server postgres-preview-passwords "$preview_superuser" "$unknown_owner" "$unknown_production" "$preview"
}

# production NAMESPACE: pool_max_conns would be the node's processors otherwise,
# and the servers' max_connections is made for four. KEDA comes from its own
# namespace, so it takes the long name; and it has no file with the server's CA,
# so it encrypts but cannot check.
production() {
  check_namespace "$1"
  draw
  verified='sslmode=verify-full&sslrootcert=/etc/understudy/certificates'
  managed_login owner "$owner" postgres-rw "$verified/production.crt"
  managed_login production "$production" postgres-rw "$verified/production.crt&pool_max_conns=4"
  managed_login preview "$preview" postgres-preview-rw "$verified/preview.crt&pool_max_conns=4"
  managed_login scaler "$scaler" "postgres-rw.$1.svc" sslmode=require
}

case "$#:${1:-}" in
  0:) one_server ;;
  1:--separate-servers) separate_servers ;;
  2:--production) production "$2" ;;
  1:--production) usage "--production lacks its NAMESPACE" ;;
  *) usage "unknown arguments $*" ;;
esac
