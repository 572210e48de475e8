#!/usr/bin/env bash
# Writes everything that is generated and checked in: Go and TypeScript code from the protos, deep-copy functions, CRDs
# and RBAC from the Go types and markers, and from those the chart's templates; pages of docs/ from the life cycles' tables and
# the protos' comments; what each role may do in NATS. Running it again changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
TOOLS=$PWD/bin/tools
CHART=charts/orderd/templates
mkdir -p "$TOOLS"

# build FOLDER PACKAGE: a pinned tool, unless it is built from the present go.mod already.
build() {
  local binary=$TOOLS/${2##*/}
  if [ ! -x "$binary" ] || [ "$1/go.mod" -nt "$binary" ] || [ "$1/go.sum" -nt "$binary" ]; then
    echo "building ${2##*/}…" >&2
    (cd "$1" && CGO_ENABLED=0 go build -trimpath -o "$binary" "$2")
    touch "$binary"
  fi
}

# crd FILE: wraps a CRD for the chart, behind crds.enabled and crds.keep.
crd() {
  echo '{{- if .Values.crds.enabled }}'
  echo '# Generated from config/crd by hack/tools/gen/generate.sh.'
  awk '
    { print }
    /^  annotations:$/ && !done {
      print "    {{- if .Values.crds.keep }}"
      print "    helm.sh/resource-policy: keep"
      print "    {{- end }}"
      done = 1
    }' "$1"
  echo '{{- end }}'
}

# rules DOCUMENT NAME: a template with the rules of a role of config/rbac/role.yaml, for roles of several kinds and
# namespaces. The first document is the ClusterRole; the second the Role that leader election needs, in which the
# operator's name is that of its Lease.
rules() {
  echo "{{- define \"$2\" -}}"
  awk -v document="$1" '/^---$/ { n++; inside = 0; next } inside && n == document { print } /^rules:$/ { inside = 1 }' \
    config/rbac/role.yaml | sed -e 's/^  - orderd-operator$/  - {{ include "orderd.fullname" . }}/'
  echo '{{- end -}}'
}

build hack/tools/buf github.com/bufbuild/buf/cmd/buf
build hack/tools/gen google.golang.org/protobuf/cmd/protoc-gen-go
build hack/tools/gen connectrpc.com/connect/v2/cmd/protoc-gen-connect-go
build hack/tools/gen sigs.k8s.io/controller-tools/cmd/controller-gen

hack/tools/gen/typescript.sh
go run ./hack/tools/errordetails >bin/errordetails.binpb
(cd api && "$TOOLS/buf" generate && "$TOOLS/buf" generate --template buf.gen.ts.yaml)
"$TOOLS/controller-gen" object crd:maxDescLen=1024 paths=./api/v1alpha1/... output:crd:dir=config/crd
"$TOOLS/controller-gen" rbac:roleName=orderd-operator paths=./operator/... output:rbac:dir=config/rbac

for name in orderclusters promotionevents; do
  crd "config/crd/orderd.dev_$name.yaml" >"$CHART/crd-$name.yaml"
done
{
  echo '{{- /* Generated from config/rbac by hack/tools/gen/generate.sh. */ -}}'
  rules 1 orderd.rules
  rules 2 orderd.leaderRules
} >"$CHART/_rules.tpl"
"$TOOLS/buf" build api -o - | go run ./hack/tools/docs docs
go run ./hack/tools/permissions config/nats
