#!/usr/bin/env bash
# Gives image tarballs to the local node, as a registry would: hack/cluster/load.sh IMAGE.tar…
# What it has already is not read again.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_root_on_linux
if [ "${1:-}" = --locked ]; then shift; else take_lock; fi
[ "$(owner)" = "$ROOT" ] || die "this clone's cluster does not run; hack/cluster/up.sh starts it"
mkdir -p "$STATE/loaded"
for tar; do
  [ -r "$tar" ] || die "no file $tar"
  print=$(stat -Lc '%Y %s' "$tar")
  mark=$STATE/loaded/$(basename "$tar")
  [ "$(cat "$mark" 2>/dev/null)" != "$print" ] || continue
  wait_for 60 "containerd" "${CTR[@]}" version
  "${CTR[@]}" images import --local --snapshotter overlayfs "$tar" >>"$STATE/logs/load.log" 2>&1 || die "import $tar failed; see $STATE/logs/load.log"
  printf '%s\n' "$print" >"$mark"
done
