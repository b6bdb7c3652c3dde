#!/bin/sh
# Runs every fuzz target of the module for a while, one after the other.
#
#   hack/fuzz.sh 1m
set -eu
cd "$(dirname "$0")/.."
duration=${1:?say for how long, as in 1m}

# The go command fuzzes one target of one package at a time.
for package in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    echo "== $package $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$package"
  done
done
