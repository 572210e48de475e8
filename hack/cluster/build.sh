#!/usr/bin/env bash
# Builds what the local cluster and the tests' control plane run, from the modules that hack/*/go.mod
# pin, into bin/. What is built already, from the same versions, is kept.
#
#   hack/cluster/build.sh envtest   kube-apiserver, etcd and kubectl, into bin/kube: what `make test` needs
#   hack/cluster/build.sh images    only the image packer, into bin/tools
#   hack/cluster/build.sh tools     helm and the image packer, into bin/tools: what any cluster needs, and kubectl
#   hack/cluster/build.sh all       these and the node's: containerd, kubelet, CoreDNS, NATS and so on (the default)
#
# Programs of one module are compiled by one go command, so that what they share is compiled once, and two go
# commands run at once: the last packages of a large program and its linking leave a core idle.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
AT_ONCE=2

# The version of hack/kube/go.mod; without it the binaries call themselves v0.0.0.
kube_version() { sed -n 's/.*k8s\.io\/kubernetes \(v[0-9.]*\).*/\1/p' "$ROOT/hack/kube/go.mod"; }

kube_flags() {
  local v package
  v=$(kube_version)
  set -- "gitVersion=$v" "gitMajor=$(cut -d. -f1 <<<"${v#v}")" "gitMinor=$(cut -d. -f2 <<<"$v")"
  for package; do printf -- '-X k8s.io/component-base/version.%s ' "$package"; done
}

containerd_flags() {
  local v
  v=$(sed -n 's/.*containerd\/containerd\/v2 \(v[0-9.]*\).*/\1/p' "$ROOT/hack/node/containerd/go.mod")
  printf -- '-X github.com/containerd/containerd/v2/version.Version=%s' "$v"
}

# One line a program: name | folder of the go.mod | where to, a folder if it ends with a slash | packages.
programs() {
  local kube=k8s.io/kubernetes/cmd containerd=github.com/containerd/containerd/v2/cmd
  local cni=github.com/containernetworking/plugins/plugins
  local kubectl="kubectl|hack/kube|kube/|$kube/kubectl" images="images|hack/images|tools/images|."
  local envtest="kube-apiserver|hack/kube|kube/|$kube/kube-apiserver
$kubectl
etcd|hack/etcd|kube/etcd|go.etcd.io/etcd/server/v3"
  local tools="helm|hack/helm|tools/helm|helm.sh/helm/v4/cmd/helm
$images"
  case $1 in
  envtest) printf '%s\n' "$envtest" ;;
  images) printf '%s\n' "$images" ;;
  tools) printf '%s\n' "$kubectl" "$tools" ;;
  all)
    # What takes longest comes first.
    cat <<END
$envtest
kube-controller-manager|hack/kube|kube/|$kube/kube-controller-manager
kube-scheduler|hack/kube|kube/|$kube/kube-scheduler
kubelet|hack/kube|kube/|$kube/kubelet
kube-proxy|hack/kube|kube/|$kube/kube-proxy
containerd|hack/node/containerd|node/|$containerd/containerd $containerd/containerd-shim-runc-v2 $containerd/ctr
$tools
nats-server|hack/images|node/nats-server|github.com/nats-io/nats-server/v2
coredns|hack/node/coredns|node/coredns|.
cni-plugins|hack/node/containerd|node/cni/|$cni/main/ptp $cni/main/loopback $cni/ipam/host-local $cni/meta/portmap
pause|hack/node/pause|node/pause|.
END
    ;;
  *) die "unknown group '$1': envtest, images, tools or all" ;;
  esac
}

flags_of() {
  case $1 in
  hack/kube) kube_flags ;;
  hack/node/containerd) containerd_flags ;;
  esac
}

# What a program depends on: versions, our own few lines of source, flags, the compiler.
print_of() {
  local dir=$ROOT/$2
  { cat "$dir"/go.* "$dir"/*.go 2>/dev/null || true; printf '%s\n' "$GO_VERSION" "$@" "$(flags_of "$2")"; } | sha256sum | cut -c1-16
}

stale() {
  local file
  [ "$(cat "$BIN/stamps/$1" 2>/dev/null)" = "$(print_of "$@")" ] || return 0
  case $3 in
  */) for file in $4; do [ -x "$BIN/$3${file##*/}" ] || return 0; done ;;
  *) [ -x "$BIN/$3" ] || return 0 ;;
  esac
  return 1
}

# A job is one go command; its id is "folder of the go.mod|where to". TODO lists those that have not begun.
TODO=()
declare -A NAMES=() PACKAGES=() STAMPS=() PID=() BEGAN=()

# collect GROUP: what is stale, as jobs.
collect() {
  local name dir to packages job
  while IFS='|' read -r name dir to packages; do
    stale "$name" "$dir" "$to" "$packages" || continue
    job="$dir|$to"
    [ -n "${NAMES[$job]:-}" ] || TODO+=("$job")
    NAMES[$job]+="${NAMES[$job]:+ }$name"
    PACKAGES[$job]+=" $packages"
    STAMPS[$name]=$(print_of "$name" "$dir" "$to" "$packages")
  done < <(programs "$1")
}

log_of() { echo "$BIN/logs/build-${NAMES[$1]%% *}.log"; }

begin() {
  local job=$1 dir=${1%|*} to=${1#*|}
  mkdir -p "$BIN/logs" "$BIN/stamps" "$(dirname "$BIN/$to.")"
  # shellcheck disable=SC2086 # several packages
  (cd "$ROOT/$dir" && CGO_ENABLED=0 GOFLAGS=-mod=readonly exec go build -trimpath -buildvcs=false \
    -ldflags "-s -w $(flags_of "$dir")" -o "$BIN/$to" ${PACKAGES[$job]}) >"$(log_of "$job")" 2>&1 8>&- &
  PID[$job]=$! BEGAN[$job]=$SECONDS
  [ -t 2 ] || say "building ${NAMES[$job]}…"
}

end() {
  local job=$1 name
  if ! wait "${PID[$job]}"; then
    say ""
    tail -n 20 "$(log_of "$job")" >&2
    die "build ${NAMES[$job]} failed; the whole log is $(log_of "$job")"
  fi
  unset "PID[$job]"
  [ ! -t 2 ] || printf '\r\033[K' >&2
  say "built ${NAMES[$job]} in $((SECONDS - BEGAN[$job]))s"
  for name in ${NAMES[$job]}; do echo "${STAMPS[$name]}" >"$BIN/stamps/$name"; done
}

# tell says what is being built: on a terminal all the time, or else every minute.
tell() {
  local job line=""
  if [ ! -t 2 ] && [ $SECONDS -lt $((TOLD + 60)) ]; then return 0; fi
  TOLD=$SECONDS
  for job in "${!PID[@]}"; do line+="${line:+, }${NAMES[$job]} ($((SECONDS - BEGAN[$job]))s)"; done
  if [ -t 2 ]; then printf '\r\033[Kbuilding %s' "$line" >&2; else say "still building $line"; fi
}

# Whoever stops this script stops the compilers as well.
stop_all() { [ ${#PID[@]} -eq 0 ] || kill "${PID[@]}" 2>/dev/null || true; }

main() {
  local job began=$SECONDS
  command -v go >/dev/null || die "Go is not on the PATH: https://go.dev/doc/install"
  GO_VERSION=$(go version)
  mkdir -p "$BIN"
  # Another script of this clone may be building the same.
  exec 8>"$BIN/build.lock"
  flock -n 8 || { say "waiting for another build of this clone…" && flock 8; }
  collect "$1"
  [ ${#TODO[@]} -gt 0 ] || return 0
  [ ${#TODO[@]} -lt 6 ] || say "building the cluster's programs from their modules: the first time about ten minutes on two quiet cores"
  trap stop_all EXIT
  TOLD=$SECONDS
  while [ $((${#TODO[@]} + ${#PID[@]})) -gt 0 ]; do
    while [ ${#TODO[@]} -gt 0 ] && [ ${#PID[@]} -lt $AT_ONCE ]; do
      begin "${TODO[0]}"
      TODO=("${TODO[@]:1}")
    done
    sleep 0.5
    for job in "${!PID[@]}"; do
      kill -0 "${PID[$job]}" 2>/dev/null || end "$job"
    done
    [ ${#PID[@]} -eq 0 ] || tell
  done
  say "built ${#STAMPS[@]} programs in $((SECONDS - began))s"
}

main "${1:-all}"
