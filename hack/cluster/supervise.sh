#!/usr/bin/env bash
# supervise.sh SECONDS COMMAND…: runs the command, and again so many seconds after each time it has ended,
# as a cluster would do with a pod, until this script gets SIGTERM.
set -uo pipefail
pause=$1
shift
child=""
ending=""
# SIGINT is PostgreSQL's fast stop; SIGTERM would wait for every client to go. CockroachDB takes both.
trap 'ending=yes; [ -z "$child" ] || kill -INT "$child" 2>/dev/null' TERM
while [ -z "$ending" ]; do
  "$@" &
  child=$!
  # A signal ends the waiting, not the child.
  while kill -0 "$child" 2>/dev/null; do wait "$child"; done
  child=""
  [ -n "$ending" ] || sleep "$pause" &
  wait $!
done
