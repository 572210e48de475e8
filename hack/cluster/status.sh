#!/usr/bin/env bash
# Says what of the local cluster runs on this machine, and whose clone it belongs to.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
at=$(owner)
[ -n "$at" ] || { echo "no local cluster runs"; exit 0; }
echo "cluster of $at"
for file in "$RUN"/pids/*; do
  [ -e "$file" ] || continue
  name=$(basename "$file")
  if pid=$(pid_of "$name"); then
    echo "  $name: process $pid, $(awk '/VmRSS/ {printf "%d MB", $2 / 1024}' "/proc/$pid/status")"
  else
    echo "  $name: not running"
  fi
done
KUBECONFIG=$at/bin/cluster/kubeconfig "$BIN/kube/kubectl" get node,pod -A -o wide || true
