#!/usr/bin/env bash
# Makes a cluster ready for `demo run` and test/e2e: images on it, a kubeconfig, a database. What was
# done is written to bin/demo/target.yaml, which both read; from there on all clusters are alike.
#
#   hack/demo/prepare.sh                                       the local cluster, which it brings up
#   KUBECONFIG=… REGISTRY=host/path hack/demo/prepare.sh       another cluster: images go to the registry
#   KIND=name hack/demo/prepare.sh                             a cluster of kind, which loads the images
#   MINIKUBE=profile hack/demo/prepare.sh                      a cluster of minikube, which loads them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
ROOT=$(pwd -P)
TARGET=$ROOT/bin/demo/target.yaml
# A user's own shell may still name the local cluster, as up.sh tells them to.
LOCAL=$ROOT/bin/cluster/kubeconfig
IMAGES=(orderd orderd-operator orderd-demo)

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

local_cluster() {
  # Compiling and the cluster's coming up do not wait for each other. What fails here fails below again, and is said there.
  hack/images/build.sh compile "${IMAGES[@]}" 2>/dev/null &
  hack/cluster/up.sh
  wait $! || true
  hack/cluster/database.sh up
  say "building images…"
  hack/images/build.sh "${IMAGES[@]}" node
  . bin/images/tags.env
  local ref tars=()
  for ref in "$ORDERD_IMAGE" "$ORDERD_OPERATOR_IMAGE" "$ORDERD_DEMO_IMAGE" "$NATS_IMAGE"; do tars+=("bin/images/${ref/:/_}.tar"); done
  hack/cluster/load.sh "${tars[@]}"
  hack/cluster/database.sh url >bin/demo/database-url
  hack/cluster/database.sh node-url >bin/demo/database-here
  write "$LOCAL" "$ROOT/config/eval/local"
  echo "databaseHereFile: $ROOT/bin/demo/database-here" >>"$TARGET"
}

other_cluster() {
  [ -n "${REGISTRY:-}" ] ||
    die "set REGISTRY=host/path to a registry that you may push to and the cluster of $KUBECONFIG can pull from"
  hack/cluster/build.sh tools
  say "building images and pushing them to $REGISTRY…"
  hack/images/build.sh "${IMAGES[@]}"
  . bin/images/tags.env
  write_other
}

kind_cluster() {
  local clusters
  command -v kind >/dev/null || die "KIND=$KIND: there is no kind on the PATH (https://kind.sigs.k8s.io)"
  clusters=$(kind get clusters)
  grep -qxF -e "$KIND" <<<"$clusters" || die "KIND=$KIND: kind has no such cluster, only: ${clusters//$'\n'/, }"
  loading_cluster "kind-$KIND"
}

minikube_cluster() {
  command -v minikube >/dev/null ||
    die "MINIKUBE=$MINIKUBE: there is no minikube on the PATH (https://minikube.sigs.k8s.io)"
  minikube -p "$MINIKUBE" status >/dev/null ||
    die "MINIKUBE=$MINIKUBE: no cluster of this profile runs (minikube profile list)"
  loading_cluster "$MINIKUBE"
}

# loading_cluster CONTEXT: whatever cluster kubectl would talk to, orderd must not go to one that lacks the images.
loading_cluster() {
  local context ref
  export KUBECONFIG=${KUBECONFIG:-$HOME/.kube/config}
  hack/cluster/build.sh tools
  context=$(bin/kube/kubectl config current-context 2>/dev/null || true)
  [ "$context" = "$1" ] ||
    die "the context of $KUBECONFIG is '$context', not $1: kubectl config use-context $1"
  say "building images and loading them…"
  REGISTRY="" hack/images/build.sh "${IMAGES[@]}"
  . bin/images/tags.env
  for ref in "$ORDERD_IMAGE" "$ORDERD_OPERATOR_IMAGE" "$ORDERD_DEMO_IMAGE"; do load "bin/images/${ref/:/_}.tar"; done
  write_other
}

load() {
  if [ -n "${KIND:-}" ]; then
    kind load image-archive "$1" --name "$KIND"
  else
    minikube -p "$MINIKUBE" image load "$1"
  fi
}

# write_other is for clusters whose database is the one of config/eval.
write_other() {
  hack/demo/certificates.sh
  # As in config/samples.
  sed -n 's/^ *url: \(postgres:.*\)$/\1/p' config/samples/10-secrets.yaml >bin/demo/database-url
  write "$KUBECONFIG" "$ROOT/config/eval/cluster"
}

# chart packs the chart as the version that the images are of, and prints the file's name.
chart() {
  rm -rf bin/demo/chart
  bin/tools/helm package charts/orderd --version "$ORDERD_VERSION" --app-version "$ORDERD_VERSION" \
    --destination bin/demo/chart >/dev/null
  echo "$ROOT/bin/demo/chart/orderd-$ORDERD_VERSION.tgz"
}

write() {
  local packed
  packed=$(chart)
  cat >"$TARGET" <<END
kubectl: $ROOT/bin/kube/kubectl
helm: $ROOT/bin/tools/helm
kubeconfig: $1
eval: $2
chart: $packed
version: $ORDERD_VERSION
samples: $ROOT/config/samples
certificates: $ROOT/bin/demo/certificates
databaseURLFile: $ROOT/bin/demo/database-url
providerKeysFile: $ROOT/bin/demo/provider-keys.json
images:
  orderd: $ORDERD_IMAGE
  operator: $ORDERD_OPERATOR_IMAGE
  demo: $ORDERD_DEMO_IMAGE
END
}

mkdir -p bin/demo
# The database's URLs hold its password.
install -m 0600 /dev/null bin/demo/database-url
install -m 0600 /dev/null bin/demo/database-here
if [ -n "${KIND:-}" ] && [ -n "${MINIKUBE:-}" ]; then die "set KIND or MINIKUBE, not both"; fi
if [ -n "${KIND:-}" ]; then
  kind_cluster
elif [ -n "${MINIKUBE:-}" ]; then
  minikube_cluster
elif [ -z "${KUBECONFIG:-}" ] || [ "$(realpath -m "$KUBECONFIG")" = "$LOCAL" ]; then
  local_cluster
else
  other_cluster
fi
