#!/usr/bin/env bash
# Makes a cluster ready for `demo run` and test/e2e: images on it, a kubeconfig, a database. What was
# done is written to bin/demo/target.yaml, which both read; from there on all clusters are alike.
#
#   hack/demo/prepare.sh                                       the local cluster, which it brings up
#   KUBECONFIG=… REGISTRY=host/path hack/demo/prepare.sh       another cluster: images go to the registry
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
ROOT=$(pwd -P)
TARGET=$ROOT/bin/demo/target.yaml
# A user's own shell may still name the local cluster, as up.sh tells them to.
LOCAL=$ROOT/bin/cluster/kubeconfig
IMAGES=(orderd orderd-operator orderd-demo)

say() { printf '%s\n' "$*" >&2; }

local_cluster() {
  hack/cluster/up.sh
  hack/cluster/database.sh up
  say "building images…"
  hack/images/build.sh "${IMAGES[@]}" node
  . bin/images/tags.env
  local ref tars=()
  for ref in "$ORDERD_IMAGE" "$ORDERD_OPERATOR_IMAGE" "$ORDERD_DEMO_IMAGE" "$NATS_IMAGE"; do tars+=("bin/images/${ref/:/_}.tar"); done
  hack/cluster/load.sh "${tars[@]}"
  hack/cluster/database.sh url >bin/demo/database-url
  write "$LOCAL" "$ROOT/config/eval/local"
}

other_cluster() {
  if [ -z "${REGISTRY:-}" ]; then
    say "error: set REGISTRY=host/path to a registry that you may push to and the cluster of $KUBECONFIG can pull from"
    exit 1
  fi
  hack/cluster/build.sh tools
  say "building images and pushing them to $REGISTRY…"
  hack/images/build.sh "${IMAGES[@]}"
  . bin/images/tags.env
  echo 'postgres://root@database.orderd-eval.svc.cluster.local:26257/orderd?sslmode=disable' >bin/demo/database-url
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
databaseURLFile: $ROOT/bin/demo/database-url
providerKeysFile: $ROOT/bin/demo/provider-keys.json
images:
  orderd: $ORDERD_IMAGE
  operator: $ORDERD_OPERATOR_IMAGE
  demo: $ORDERD_DEMO_IMAGE
END
}

mkdir -p bin/demo
# The database's URL holds its password.
install -m 0600 /dev/null bin/demo/database-url
if [ -z "${KUBECONFIG:-}" ] || [ "$(realpath -m "$KUBECONFIG")" = "$LOCAL" ]; then local_cluster; else other_cluster; fi
