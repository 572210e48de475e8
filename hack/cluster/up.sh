#!/usr/bin/env bash
# Brings up the local cluster: a Kubernetes node and its control plane as processes of this machine.
# It may be run at any time: what runs is left alone, what has died or changed is started again, and the
# cluster of another clone of this repository is stopped first (its data stays in that clone).
#
#   hack/cluster/up.sh              then: export KUBECONFIG=$PWD/bin/cluster/kubeconfig
#
# Beside it:
#   hack/cluster/build.sh [envtest|tools|all]     fetches or builds the pinned programs; up.sh does so by itself
#   hack/images/build.sh [IMAGE…]                 packs images into bin/images and lists them in bin/images/tags.env
#   hack/cluster/load.sh IMAGE.tar…               gives images to the node
#   hack/cluster/database.sh up|url|kill|down     the database on the node's own address, for Service database
#   hack/cluster/status.sh                        what runs
#   hack/cluster/down.sh [--keep]                 stops all and deletes the cluster's data, or keeps it for the next up
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$ROOT/hack/cluster/network.sh"
. "$ROOT/hack/cluster/node.sh"

packages() {
  local missing=()
  command -v runc >/dev/null || missing+=(runc)
  command -v iptables >/dev/null || missing+=(iptables)
  command -v ip >/dev/null || missing+=(iproute2)
  command -v conntrack >/dev/null || missing+=(conntrack)
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "install ${missing[*]} first"
  say "installing ${missing[*]}…"
  (apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}") \
    >"$BIN/logs/apt.log" 2>&1 || die "apt-get install ${missing[*]} failed; its output is in $BIN/logs/apt.log"
}

# take_over makes this machine's cluster this clone's. It also clears away what is left of one whose
# records in /run or whose folder somebody removed.
take_over() {
  local other
  other=$(owner)
  if [ -n "$other" ] && [ "$other" != "$ROOT" ]; then
    say "stopping the cluster of $other…"
    "$ROOT/hack/cluster/down.sh" --keep --locked
  elif ip link show "$LINK" >/dev/null 2>&1 && { [ -z "$other" ] || [ ! -e "$STATE/pki/ca.crt" ]; }; then
    say "clearing away what is left of an earlier cluster…"
    "$ROOT/hack/cluster/down.sh" --keep --locked
  fi
  mkdir -p "$RUN" "$STATE/logs"
  printf '%s\n' "$ROOT" >"$RUN/owner"
}

configure() {
  "$ROOT/hack/images/build.sh" node
  # shellcheck disable=SC1091 # made by the line above
  . "$BIN/images/tags.env"
  (cd "$ROOT" && go run ./hack/cluster/pki -dir "$STATE/pki" -server "$API_URL" -node "$NODE_NAME" -addresses "$NODE_IP,127.0.0.1,$API_SERVICE_IP")
  install -m 0600 "$STATE/pki/admin.kubeconfig" "$KUBECONFIG_ADMIN"
  write_containerd_config
  write_cni_config
  write_kubelet_config
}

ready() { "${KUBECTL[@]}" get --raw /readyz; }

# apply_addons brings DNS, the storage class and its volumes, once a version.
apply_addons() {
  local print
  print=$(cat "$ROOT"/hack/cluster/manifests/* <(printf '%s %s %s %s' "$COREDNS_IMAGE" "$DNS_IP" "$NODE_NAME" "$STATE") | sha256sum)
  if [ "$(cat "$STATE/addons" 2>/dev/null)" != "$print" ]; then
    sed -e "s|COREDNS_IMAGE|$COREDNS_IMAGE|; s|DNS_IP|$DNS_IP|" "$ROOT/hack/cluster/manifests/coredns.yaml" |
      "${KUBECTL[@]}" apply --server-side --force-conflicts -f - >/dev/null
    "${KUBECTL[@]}" apply --server-side --force-conflicts -f "$ROOT/hack/cluster/manifests/storage-class.yaml" >/dev/null
    printf '%s' "$print" >"$STATE/addons"
  fi
  "$ROOT/hack/cluster/volumes.sh"
}

main() {
  local began=$SECONDS
  need_root_on_linux
  "$ROOT/hack/cluster/build.sh" all
  packages
  take_lock
  take_over
  configure
  network_up
  start_containerd
  start_etcd
  start_apiserver
  wait_for 60 containerd test -S "$SOCKET"
  "$ROOT/hack/cluster/load.sh" --locked "$BIN/images/${PAUSE_IMAGE/:/_}.tar" "$BIN/images/${COREDNS_IMAGE/:/_}.tar"
  wait_for 120 "the API server" ready
  start_controllers
  start_node
  apply_addons
  wait_for 60 "the node's registration" "${KUBECTL[@]}" get node "$NODE_NAME"
  "${KUBECTL[@]}" wait --for=condition=Ready "node/$NODE_NAME" --timeout=120s >/dev/null
  # The path from the node through a service to a pod, whatever older status the objects may still show.
  wait_for 120 "the cluster's DNS" timeout 1 bash -c "</dev/tcp/$DNS_IP/53"
  "${KUBECTL[@]}" -n kube-system wait --for=condition=Available deployment/coredns --timeout=120s >/dev/null
  say "the local cluster is up ($((SECONDS - began))s): export KUBECONFIG=$KUBECONFIG_ADMIN"
}

main
