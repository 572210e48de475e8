#!/usr/bin/env bash
# Packs images and lists their references as shell variables in bin/images/tags.env.
#
#   hack/images/build.sh                          all: orderd orderd-operator orderd-demo node
#   hack/images/build.sh orderd-demo              only these; the lines of the others stay
#   hack/images/build.sh compile orderd           compiles alone, for whoever packs later
#   REGISTRY=host/path hack/images/build.sh orderd orderd-operator orderd-demo
#                                                 pushes in place of writing bin/images/NAME_TAG.tar
#
# tags.env: ORDERD_IMAGE, ORDERD_OPERATOR_IMAGE, ORDERD_DEMO_IMAGE, and of the local node ("node", never
# pushed) PAUSE_IMAGE, COREDNS_IMAGE and NATS_IMAGE. The tag of an image of ours follows from its content,
# which names the version that hack/version.sh gives: ORDERD_VERSION.
# TARGET_ARCH (as GOARCH; default: this machine's) is the architecture of the cluster's nodes.
set -euo pipefail
shopt -s inherit_errexit
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
OUT=$ROOT/bin/images
ARCH=${TARGET_ARCH:-$(go env GOARCH)}

# compile PACKAGE…: static binaries that depend on nothing but the commit, so that the images have the same
# tags whoever builds them.
compile() {
  mkdir -p "$OUT/bin"
  (cd "$ROOT" && CGO_ENABLED=0 GOOS=linux GOARCH=$ARCH go build -trimpath -buildvcs=false \
    -ldflags "-s -w $("$ROOT/hack/version.sh" ldflags)" -o "$OUT/bin/" "$@")
}

# pack [FLAG…] NAME=BINARY…: prints a line an image.
pack() { "$ROOT/bin/tools/images" -out "$OUT" -registry "${REGISTRY:-}" -arch "$ARCH" "$@"; }

# ours NAME=BINARY…: packs images that say their version.
ours() {
  local version revision created
  version=$("$ROOT/hack/version.sh")
  revision=$("$ROOT/hack/version.sh" revision)
  created=$("$ROOT/hack/version.sh" created)
  pack -version "$version" -revision "$revision" -created "$created" "$@"
  echo "ORDERD_VERSION=$version"
}

# The version of NATS comes from this module, and with it the tag that config/eval names.
nats_version() { sed -n 's/.*nats-server\/v2 v\([0-9.]*\).*/\1/p' "$ROOT/hack/images/go.mod"; }

main() {
  local name packages=() wanted=() node=() lines="" only=""
  mkdir -p "$OUT"
  [ "${1:-}" != compile ] || { only=yes && shift; }
  [ $# -gt 0 ] || set -- orderd orderd-operator orderd-demo node
  for name; do
    case $name in
    orderd) packages+=(./orderd) wanted+=("$name=$OUT/bin/orderd") ;;
    orderd-operator) packages+=(./operator) wanted+=("$name=$OUT/bin/operator") ;;
    orderd-demo) packages+=(./hack/demo) wanted+=("$name=$OUT/bin/demo") ;;
    node)
      [ -z "${REGISTRY:-}" ] || continue
      node=("pause=$ROOT/bin/node/pause" "coredns=$ROOT/bin/node/coredns" "nats:$(nats_version)=$ROOT/bin/node/nats-server")
      ;;
    *)
      echo "error: unknown image $name" >&2
      exit 1
      ;;
    esac
  done
  if [ -n "$only" ]; then
    compile "${packages[@]}"
    return
  fi
  "$ROOT/hack/cluster/build.sh" images
  if [ ${#wanted[@]} -gt 0 ]; then
    compile "${packages[@]}"
    lines=$(ours "${wanted[@]}")
  fi
  if [ ${#node[@]} -gt 0 ]; then lines+=${lines:+$'\n'}$(pack "${node[@]}"); fi
  touch "$OUT/tags.env"
  { grep -vE "^($(cut -d= -f1 <<<"$lines" | paste -sd'|'))=" "$OUT/tags.env" || true; printf '%s\n' "$lines"; } >"$OUT/tags.env.part"
  mv "$OUT/tags.env.part" "$OUT/tags.env"
}

main "$@"
