#!/usr/bin/env bash
# Ends what `make demo` started: the local cluster and its database with all their data, or, on another
# cluster (KUBECONFIG), the samples, the chart, NATS and the database.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ -z "${KUBECONFIG:-}" ] || [ "$(realpath -m "$KUBECONFIG")" = "$(pwd -P)/bin/cluster/kubeconfig" ]; then exec hack/cluster/down.sh; fi
hack/cluster/build.sh tools
export KUBECONFIG
kubectl=bin/kube/kubectl
# First the promotions of the samples' namespace, which goes with the samples: they give their stock back
# while everything still runs. Those of other namespaces are not the demo's.
$kubectl delete promotionevents --all --namespace shop --ignore-not-found --timeout=5m
$kubectl delete -k config/samples --ignore-not-found --timeout=5m
bin/tools/helm uninstall orderd --namespace orderd-system --ignore-not-found --wait
$kubectl delete -k config/eval/cluster --ignore-not-found --timeout=5m
