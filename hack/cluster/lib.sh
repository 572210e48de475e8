# Shared by the scripts of this folder: where the local cluster keeps its things, its addresses, and
# how its processes are started, found again and stopped. Source it; it does nothing by itself.
# shellcheck shell=bash disable=SC2034
set -euo pipefail
shopt -s inherit_errexit
# Pods' users must be able to read what is not explicitly closed to them.
umask 022
# Where Debian keeps runc, ip and iptables; not every root shell looks there.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
BIN=$ROOT/bin
# What one clone's cluster consists of: certificates, etcd's data, containerd's images, volumes, logs.
STATE=$BIN/cluster
# What must not outlive a reboot and has to be found from every clone: process ids, sockets, mounts.
RUN=/run/orderd-cluster
LOCK=/run/orderd-cluster.lock
SOCKET=$RUN/containerd.sock

NODE_NAME=orderd
NODE_IP=10.88.0.1
POD_CIDR=10.89.0.0/24
SERVICE_CIDR=10.96.0.0/16
API_SERVICE_IP=10.96.0.1
DNS_IP=10.96.0.10
API_URL=https://$NODE_IP:6443

KUBECONFIG_ADMIN=$STATE/kubeconfig
KUBECTL=("$BIN/kube/kubectl" --kubeconfig "$KUBECONFIG_ADMIN")
CTR=("$BIN/node/ctr" --address "$SOCKET" --namespace k8s.io)

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# version_of FOLDER MODULE: the module's version in the folder's go.mod.
version_of() { awk -v module="$2" '{sub(/^require /, "")} $1 == module && $2 ~ /^v/ {print $2}' "$ROOT/$1/go.mod"; }

need_root_on_linux() {
  [ "$(uname -s)" = Linux ] || die "the local cluster needs Linux; name another cluster with KUBECONFIG"
  [ "$(id -u)" = 0 ] || die "the local cluster needs root; name another cluster with KUBECONFIG"
}

# One script at a time changes the cluster, from whichever clone. Started processes close descriptor 9.
take_lock() {
  exec 9>"$LOCK"
  flock -w 300 9 || die "another script has held $LOCK for five minutes"
}

# The folder of the clone whose cluster this machine runs, or nothing.
owner() { cat "$RUN/owner" 2>/dev/null || true; }

# A process is known by its id and its start time in clock ticks, so that a reused id is not taken for it.
start_ticks() {
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The second field is the name in brackets and may hold spaces: count from behind it.
  read -ra fields <<<"${stat##*) }"
  # A zombie has ended.
  [ "${fields[0]}" != Z ] || return 1
  printf '%s\n' "${fields[19]}"
}

pid_of() {
  local pid ticks rest
  read -r pid ticks rest 2>/dev/null <"$RUN/pids/$1" || return 1
  [ "$(start_ticks "$pid")" = "$ticks" ] || return 1
  printf '%s\n' "$pid"
}

# start NAME COMMAND…: runs it in the background unless it already runs with the same command,
# binary and configuration (CONFIG_OF names a file whose content counts).
start() {
  local name=$1 print pid
  shift
  print=$({ printf '%s\n' "$@"; stat -Lc '%Y %s' "$(command -v "$1")"; cat "${CONFIG_OF:-/dev/null}"; } | sha256sum | cut -c1-16)
  if pid=$(pid_of "$name"); then
    [ "$(cut -d' ' -f3 "$RUN/pids/$name")" != "$print" ] || return 0
    stop "$name"
  fi
  mkdir -p "$RUN/pids" "$STATE/logs"
  [ ! -e "$STATE/logs/$name.log" ] || mv "$STATE/logs/$name.log" "$STATE/logs/$name.log.1"
  setsid "$@" >>"$STATE/logs/$name.log" 2>&1 </dev/null 9>&- &
  pid=$!
  printf '%s %s %s\n' "$pid" "$(start_ticks "$pid")" "$print" >"$RUN/pids/$name"
  disown "$pid"
}

# stop NAME [SECONDS]: asks it to end and, after ten seconds or those given, no longer asks.
stop() {
  local pid n
  if pid=$(pid_of "$1"); then
    kill "$pid" 2>/dev/null || true
    for ((n = 0; n < ${2:-10} * 10; n++)); do
      pid_of "$1" >/dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
  fi
  rm -f "$RUN/pids/$1"
}

# wait_for SECONDS WHAT COMMAND…: until the command succeeds.
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt "$deadline" ] || die "$what: not after the time allowed; logs are in $STATE/logs"
    sleep 0.2
  done
}
