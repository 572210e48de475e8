#!/usr/bin/env bash
# Stops the local cluster and its database, whichever clone started them, and removes what they made on
# this machine: processes, containers, mounts, addresses, filter rules. It also cleans up after a stop
# that was cut short. Programs and images stay in bin/.
#
#   hack/cluster/down.sh          deletes the cluster's objects and volumes and the database's data as well
#   hack/cluster/down.sh --keep   keeps them: the next up.sh goes on from there
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$ROOT/hack/cluster/network.sh"

# Processes of the cluster that nobody recorded: shims, and daemons whose record was lost. They are known
# by this cluster's socket or state folder in their command line.
leftovers() {
  local dir line
  for dir in /proc/[0-9]*; do
    line=$(tr '\0' ' ' 2>/dev/null <"$dir/cmdline") || continue
    case $line in
    *containerd-shim*" -address $SOCKET "*) echo "${dir#/proc/}" ;;
    "$1"/bin/kube/*"$1/bin/cluster"* | "$1"/bin/node/containerd*"$1/bin/cluster"*) echo "${dir#/proc/}" ;;
    esac
  done
}

stop_processes() {
  local name
  # The kubelet first, or it starts again what is being stopped; the store last. The API server would
  # wait for its clients' watches to end.
  for name in kubelet kube-proxy kube-scheduler kube-controller-manager containerd kube-apiserver etcd; do
    stop "$name" 2
  done
}

# remove_containers works on runc's own records, so that it needs no running containerd.
remove_containers() {
  local root=$RUN/runc/k8s.io id pid
  if command -v runc >/dev/null && [ -d "$root" ]; then
    for id in $(runc --root "$root" list -q 2>/dev/null); do
      runc --root "$root" delete --force "$id" 2>/dev/null || true
    done
  fi
  for pid in $(leftovers "$1"); do
    kill -KILL "$pid" 2>/dev/null || true
  done
}

# unmount_below FOLDER…: the innermost first. A mount that is busy is detached.
unmount_below() {
  local dir target
  for dir; do
    awk -v dir="$dir/" 'index($5, dir) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r target; do
      umount "$target" 2>/dev/null || umount -l "$target" || say "warning: $target stays mounted"
    done
  done
}

remove_cgroups() {
  find /sys/fs/cgroup -mindepth 1 -maxdepth 3 -type d -name 'kubepods*' 2>/dev/null | while read -r dir; do
    find "$dir" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
}

main() {
  local keep="" locked="" argument at state
  for argument; do
    case $argument in
    --keep) keep=yes ;;
    --locked) locked=yes ;;
    *) die "unknown argument $argument" ;;
    esac
  done
  need_root_on_linux
  [ -n "$locked" ] || take_lock
  at=$(owner)
  at=${at:-$ROOT}
  state=$at/bin/cluster
  "$ROOT/hack/cluster/database.sh" down ${keep:+--keep}
  stop_processes
  remove_containers "$at"
  unmount_below "$RUN" "$state"
  network_down
  remove_cgroups
  rm -rf "$RUN"
  # What a deleted cluster's containerd knew of pods means nothing to a new one, but its images do:
  # they are read again from bin/images, within seconds.
  [ -n "$keep" ] || rm -rf "$state"
  say "the local cluster is down"
}

main "$@"
