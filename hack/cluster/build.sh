#!/usr/bin/env bash
# Brings what the local cluster and the tests' control plane run into bin/, in the versions of hack/*/go.mod: fetches
# released programs, as releases.tsv pins them (fetch.sh), and builds the rest from modules. What is there already, in
# the same version, is kept.
#
#   hack/cluster/build.sh envtest   kube-apiserver, etcd and kubectl, into bin/kube: what `make test` needs
#   hack/cluster/build.sh images    only the image packer, into bin/tools
#   hack/cluster/build.sh tools     helm and the image packer, into bin/tools: what any cluster needs, and kubectl
#   hack/cluster/build.sh all       these and the node's: containerd, kubelet, CoreDNS, NATS and so on (the default)
#
# Programs of one module are compiled by one go command, so that what they share is compiled once, and two go
# commands run at once: the last packages of a large program and its linking leave a core idle.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$ROOT/hack/cluster/fetch.sh"
AT_ONCE=2

# Without the version the binaries call themselves v0.0.0.
kube_flags() {
  local v package
  v=$(version_of hack/kube k8s.io/kubernetes)
  set -- "gitVersion=$v" "gitMajor=$(cut -d. -f1 <<<"${v#v}")" "gitMinor=$(cut -d. -f2 <<<"$v")"
  for package; do printf -- '-X k8s.io/component-base/version.%s ' "$package"; done
}

containerd_flags() {
  local v
  v=$(version_of hack/node/containerd github.com/containerd/containerd/v2)
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

# current NAME …: whether its stamp is of this build, or of the pinned release.
current() {
  local stamp
  stamp=$(cat "$BIN/stamps/$1" 2>/dev/null) || return 1
  [ "$stamp" = "$(print_of "$@")" ] || { released "$1" "$2" && [ "$stamp" = "$(release_stamp "$1")" ]; }
}

stale() {
  local file
  current "$@" || return 0
  case $3 in
  */) for file in $4; do [ -x "$BIN/$3${file##*/}" ] || return 0; done ;;
  *) [ -x "$BIN/$3" ] || return 0 ;;
  esac
  return 1
}

# What is stale: its names in order, its lines, and the stamps that it will have if it is built.
declare -A PROGRAM=() STAMPS=()
WANTED=() FETCHED=() MISSED=() BUILT=()
# A job is one go command; its id is "folder of the go.mod|where to|round". TODO lists those that have not begun. What
# has no release is built in the first round, during the downloads; what could not be fetched, in the second.
TODO=() ROUND=1
declare -A NAMES=() PACKAGES=() PID=() BEGAN=()

# collect GROUP: what is stale.
collect() {
  local name rest dir to packages
  while IFS='|' read -r name rest; do
    IFS='|' read -r dir to packages <<<"$rest"
    stale "$name" "$dir" "$to" "$packages" || continue
    PROGRAM[$name]=$rest
    STAMPS[$name]=$(print_of "$name" "$dir" "$to" "$packages")
    WANTED+=("$name")
  done < <(programs "$1")
}

# queue NAME…: as jobs.
queue() {
  local name dir to packages job
  for name; do
    IFS='|' read -r dir to packages <<<"${PROGRAM[$name]}"
    job="$dir|$to|$ROUND"
    [ -n "${NAMES[$job]:-}" ] || TODO+=("$job")
    NAMES[$job]+="${NAMES[$job]:+ }$name"
    PACKAGES[$job]+=" $packages"
  done
}

# choose fetches what may be fetched, and queues the rest.
choose() {
  local name fetch=() build=() unpinned=""
  for name in "${WANTED[@]}"; do
    if released "$name" "${PROGRAM[$name]%%|*}"; then
      fetch+=("$name")
    elif [ -n "${URL[$name]:-}" ]; then
      unpinned+=" $name"
    fi
  done
  if [ "${ORDERD_RELEASES:-}" = none ]; then
    say "ORDERD_RELEASES=none: nothing is fetched"
  elif ! command -v curl >/dev/null; then
    say "there is no curl: nothing is fetched"
  else
    [ -z "$unpinned" ] || say "built, because hack/cluster/releases.tsv has no hash of this version:$unpinned"
    begin_fetches "${fetch[@]}"
  fi
  for name in "${WANTED[@]}"; do [ -n "${DOWNLOAD[$name]:-}" ] || build+=("$name"); done
  queue "${build[@]}"
  [ ${#TODO[@]} -lt 6 ] ||
    say "building the cluster's programs from their modules: the first time about ten minutes on two quiet cores"
}

log_of() { echo "$BIN/logs/build-${NAMES[$1]%% *}.log"; }

begin() {
  local job=$1 dir to
  IFS='|' read -r dir to _ <<<"$job"
  mkdir -p "$BIN/logs" "$BIN/stamps" "$(dirname "$BIN/$to.")"
  # shellcheck disable=SC2086 # several packages
  # A larger heap for the compiler: its garbage collector takes a fifth of the processor time otherwise.
  (cd "$ROOT/$dir" && GOGC=400 GOMEMLIMIT=3GiB CGO_ENABLED=0 GOFLAGS=-mod=readonly exec go build -trimpath -buildvcs=false \
    -ldflags "-s -w $(flags_of "$dir")" -o "$BIN/$to" ${PACKAGES[$job]}) >"$(log_of "$job")" 2>&1 8>&- &
  PID[$job]=$! BEGAN[$job]=$SECONDS
  [ -t 2 ] || say "building ${NAMES[$job]}…"
}

end() {
  local job=$1 name
  clear_line
  if ! wait "${PID[$job]}"; then
    tail -n 20 "$(log_of "$job")" >&2
    die "build ${NAMES[$job]} failed; the whole log is $(log_of "$job")"
  fi
  unset "PID[$job]"
  say "built ${NAMES[$job]} in $((SECONDS - BEGAN[$job]))s"
  for name in ${NAMES[$job]}; do
    echo "${STAMPS[$name]}" >"$BIN/stamps/$name"
    BUILT+=("$name")
  done
}

end_fetch() {
  local name=$1 to
  IFS='|' read -r _ to _ <<<"${PROGRAM[$name]}"
  clear_line
  if place "$name" "$to"; then
    say "fetched $name ${VERSION[$name]}"
    FETCHED+=("$name")
  else
    say "$name is built, not fetched: $WHY"
    MISSED+=("$name")
  fi
  unset "DOWNLOAD[$name]"
  rm -rf "${PARTS:?}/$name"
}

clear_line() { [ ! -t 2 ] || printf '\r\033[K' >&2; }

# tell says what is left: on a terminal all the time, in one line that does not wrap, or else every minute.
tell() {
  local job line="" building="" later=""
  if [ ! -t 2 ] && [ $SECONDS -lt $((TOLD + 60)) ]; then return 0; fi
  TOLD=$SECONDS
  for job in "${!PID[@]}"; do building+="${building:+, }${NAMES[$job]} ($((SECONDS - BEGAN[$job]))s)"; done
  for job in "${TODO[@]}"; do later+=" ${NAMES[$job]}"; done
  [ ${#DOWNLOAD[@]} -eq 0 ] || line="fetching ${!DOWNLOAD[*]}; "
  [ -z "$building" ] || line+="building $building; "
  [ -z "$later" ] || line+="then$later; "
  if [ -t 2 ]; then printf '\r\033[K\033[?7l%s\033[?7h' "${line%; }" >&2; else say "still ${line%; }"; fi
}

# Whoever stops this script stops compilers and downloads as well.
stop_all() {
  local pids=("${PID[@]}" "${DOWNLOAD[@]}")
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  rm -rf "${PARTS:?}"
}

work() {
  local job name
  while [ $((${#TODO[@]} + ${#PID[@]} + ${#DOWNLOAD[@]} + ${#MISSED[@]})) -gt 0 ]; do
    if [ ${#DOWNLOAD[@]} -eq 0 ] && [ ${#MISSED[@]} -gt 0 ]; then
      ROUND=2
      queue "${MISSED[@]}"
      MISSED=()
    fi
    while [ ${#TODO[@]} -gt 0 ] && [ ${#PID[@]} -lt $AT_ONCE ]; do
      begin "${TODO[0]}"
      TODO=("${TODO[@]:1}")
    done
    sleep 0.5
    for job in "${!PID[@]}"; do kill -0 "${PID[$job]}" 2>/dev/null || end "$job"; done
    for name in "${!DOWNLOAD[@]}"; do kill -0 "${DOWNLOAD[$name]}" 2>/dev/null || end_fetch "$name"; done
    [ $((${#PID[@]} + ${#DOWNLOAD[@]})) -eq 0 ] || tell
  done
}

main() {
  local began=$SECONDS
  command -v go >/dev/null || die "Go is not on the PATH: https://go.dev/doc/install"
  GO_VERSION=$(go version)
  read_pins "${GO_VERSION##* }"
  mkdir -p "$BIN"
  # Another script of this clone may be building the same.
  exec 8>"$BIN/build.lock"
  flock -n 8 || { say "waiting for another build of this clone…" && flock 8; }
  collect "$1"
  [ ${#WANTED[@]} -gt 0 ] || return 0
  trap stop_all EXIT
  TOLD=$SECONDS
  choose
  work
  say "fetched ${#FETCHED[@]} programs${FETCHED[*]:+ (${FETCHED[*]})}," \
    "built ${#BUILT[@]}${BUILT[*]:+ (${BUILT[*]})} in $((SECONDS - began))s"
}

main "${1:-all}"
