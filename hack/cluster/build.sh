#!/usr/bin/env bash
# Builds what the local cluster and the tests' control plane run, from the modules that hack/*/go.mod
# pin, into bin/. What is built already, from the same versions, is kept.
#
#   hack/cluster/build.sh envtest   kube-apiserver, etcd and kubectl, into bin/kube: what `make test` needs
#   hack/cluster/build.sh images    only the image packer, into bin/tools
#   hack/cluster/build.sh tools     helm and the image packer, into bin/tools: what any cluster needs, and kubectl
#   hack/cluster/build.sh all       these and the node's: containerd, kubelet, CoreDNS, NATS and so on (the default)
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

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

# One line a step: name | folder of the go.mod | where to | packages.
steps() {
  local kube=k8s.io/kubernetes/cmd containerd=github.com/containerd/containerd/v2/cmd
  local cni=github.com/containernetworking/plugins/plugins
  local envtest="etcd|hack/etcd|kube/etcd|go.etcd.io/etcd/server/v3
kube-apiserver|hack/kube|kube/kube-apiserver|$kube/kube-apiserver"
  local kubectl="kubectl|hack/kube|kube/kubectl|$kube/kubectl"
  local images="images|hack/images|tools/images|."
  local tools="helm|hack/helm|tools/helm|helm.sh/helm/v4/cmd/helm
$images"
  case $1 in
  envtest) printf '%s\n' "$envtest" "$kubectl" ;;
  images) printf '%s\n' "$images" ;;
  tools) printf '%s\n' "$kubectl" "$tools" ;;
  all)
    printf '%s\n' "$envtest" "$kubectl"
    cat <<END
kube-controller-manager|hack/kube|kube/kube-controller-manager|$kube/kube-controller-manager
kube-scheduler|hack/kube|kube/kube-scheduler|$kube/kube-scheduler
kubelet|hack/kube|kube/kubelet|$kube/kubelet
kube-proxy|hack/kube|kube/kube-proxy|$kube/kube-proxy
containerd|hack/node/containerd|node/|$containerd/containerd $containerd/containerd-shim-runc-v2 $containerd/ctr
cni-plugins|hack/node/containerd|node/cni/|$cni/main/ptp $cni/main/loopback $cni/ipam/host-local $cni/meta/portmap
coredns|hack/node/coredns|node/coredns|.
pause|hack/node/pause|node/pause|.
nats-server|hack/images|node/nats-server|github.com/nats-io/nats-server/v2
END
    printf '%s\n' "$tools"
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

# What a step's result depends on: versions, our own few lines of source, flags, the compiler.
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

# build NUMBER COUNT NAME DIR TO PACKAGES, telling every half minute (on a terminal: every second) how far it is.
build() {
  local number=$1 count=$2 name=$3 dir=$4 to=$5 packages=$6 began=$SECONDS log pid line
  log=$BIN/logs/build-$name.log
  line="building $name ($number of $count)…"
  mkdir -p "$BIN/logs" "$BIN/stamps" "$(dirname "$BIN/$to.")"
  # shellcheck disable=SC2086 # several packages
  (cd "$ROOT/$dir" && CGO_ENABLED=0 GOFLAGS=-mod=readonly exec go build -trimpath -buildvcs=false \
    -ldflags "-s -w $(flags_of "$dir")" -o "$BIN/$to" $packages) >"$log" 2>&1 &
  pid=$!
  # Whoever stops this script stops the compiler as well.
  trap 'kill "$pid" 2>/dev/null || true' EXIT
  [ -t 2 ] || say "$line"
  while kill -0 "$pid" 2>/dev/null; do
    if [ -t 2 ]; then
      printf '\r%s %ds ' "$line" $((SECONDS - began)) >&2
    elif [ $(((SECONDS - began) % 30)) = 29 ]; then
      say "$line $((SECONDS - began))s"
      sleep 1
    fi
    sleep 0.5
  done
  trap - EXIT
  if ! wait "$pid"; then
    say ""
    tail -n 20 "$log" >&2
    die "build $name failed; the whole log is $log"
  fi
  if [ -t 2 ]; then printf '\r%s %ds\n' "$line" $((SECONDS - began)) >&2; else say "built $name in $((SECONDS - began))s"; fi
  print_of "$name" "$dir" "$to" "$packages" >"$BIN/stamps/$name"
}

main() {
  local todo=() step name dir to packages n=0 began=$SECONDS
  command -v go >/dev/null || die "Go is not on the PATH: https://go.dev/doc/install"
  GO_VERSION=$(go version)
  while IFS='|' read -r name dir to packages; do
    if stale "$name" "$dir" "$to" "$packages"; then todo+=("$name|$dir|$to|$packages"); fi
  done < <(steps "$1")
  [ ${#todo[@]} -gt 0 ] || return 0
  [ ${#todo[@]} -lt 8 ] || say "building ${#todo[@]} programs from their modules: the first time about ten minutes on two quiet cores"
  for step in "${todo[@]}"; do
    IFS='|' read -r name dir to packages <<<"$step"
    n=$((n + 1))
    build $n ${#todo[@]} "$name" "$dir" "$to" "$packages"
  done
  say "built ${#todo[@]} programs in $((SECONDS - began))s"
}

main "${1:-all}"
