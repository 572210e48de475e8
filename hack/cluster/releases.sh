#!/usr/bin/env bash
# Renews releases.tsv where there is internet: writes the versions of hack/*/go.mod with the hashes that their projects
# publish, and prints what changed. Run it when such a version has changed, and read the changes before you commit them.
# Where a hash is not to be had, that of the same version stays, or there is none, and the script ends with an error.
# ORDERD_RELEASES and ORDERD_RELEASES_PINS are as in fetch.sh.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$ROOT/hack/cluster/fetch.sh"
MISSING=0

head_lines() {
  cat <<'END'
# Which releases hack/cluster/build.sh may fetch in place of building: hack/cluster/releases.sh writes this file.
# A program is fetched only if its module has this version in hack/*/go.mod, and only with this hash, which is the one
# that its project publishes. Where the hash is -, nobody has run releases.sh with internet since the version changed:
# that program is built.
# Members are the files of the archive that are wanted; - if what is fetched is the program itself.
END
  printf '# name\tplatform\tmodule\tversion\tsha256\taddress\tmembers\n'
}

# published HASHES ADDRESS: the hash of the address's file in a file of hashes, which may hold nothing but the hash.
published() {
  curl -fsSL --connect-timeout "$PROBE_SECONDS" --max-time 30 "$(address "$1")" | awk -v file="${2##*/}" '
    {name = $2; sub(/^\*/, "", name); sub(/.*\//, "", name)}
    (NF == 1 || name == file) && length($1) == 64 && $1 ~ /^[0-9a-f]+$/ && !done++ {print $1}'
}

# known ADDRESS: the hash that is pinned for it.
known() { awk -F'\t' -v address="$1" '$6 == address {print $5}' "$PINS" 2>/dev/null || true; }

# pin NAME FOLDER MODULE HASHES ADDRESS [MEMBER…]: prints the program's lines. HASHES is where the hash is: a suffix of
# the address, or a file beside it. VERSION stands for v1.2.3, NUMBER for 1.2.3.
pin() {
  local name=$1 module=$3 hashes=$4 version arch url members sha
  version=$(version_of "$2" "$3")
  [ -n "$version" ] || die "$2/go.mod has no $3"
  for arch in amd64 arm64; do
    url=https://$5 members=${*:6}
    url=${url//VERSION/$version} url=${url//NUMBER/${version#v}} url=${url//ARCH/$arch}
    members=${members//VERSION/$version} members=${members//ARCH/$arch}
    case $hashes in .*) sha=$url$hashes ;; *) sha=${url%/*}/$hashes ;; esac
    sha=$(published "$sha" "$url") || sha=""
    if [ -z "$sha" ]; then
      sha=$(known "$url")
      MISSING=$((MISSING + 1))
      say "$name linux/$arch $version: no published hash"
    fi
    printf '%s\t' "$name" "linux/$arch" "$module" "$version" "${sha:--}" "$url"
    printf '%s\n' "${members:--}"
  done
}

main() {
  local name release=releases/download/VERSION
  {
    head_lines
    for name in kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy; do
      pin "$name" hack/kube k8s.io/kubernetes .sha256 "dl.k8s.io/release/VERSION/bin/linux/ARCH/$name"
    done
    pin etcd hack/etcd go.etcd.io/etcd/server/v3 SHA256SUMS \
      github.com/etcd-io/etcd/$release/etcd-VERSION-linux-ARCH.tar.gz etcd-VERSION-linux-ARCH/etcd
    # Static, as those that are built: the other one needs a glibc of its time.
    pin containerd hack/node/containerd github.com/containerd/containerd/v2 .sha256sum \
      github.com/containerd/containerd/$release/containerd-static-NUMBER-linux-ARCH.tar.gz \
      bin/containerd bin/containerd-shim-runc-v2 bin/ctr
    pin cni-plugins hack/node/containerd github.com/containernetworking/plugins .sha256 \
      github.com/containernetworking/plugins/$release/cni-plugins-linux-ARCH-VERSION.tgz \
      ptp loopback host-local portmap
    pin helm hack/helm helm.sh/helm/v4 .sha256sum get.helm.sh/helm-VERSION-linux-ARCH.tar.gz linux-ARCH/helm
    pin coredns hack/node/coredns github.com/coredns/coredns .sha256 \
      github.com/coredns/coredns/$release/coredns_NUMBER_linux_ARCH.tgz coredns
    pin nats-server hack/images github.com/nats-io/nats-server/v2 SHA256SUMS \
      github.com/nats-io/nats-server/$release/nats-server-VERSION-linux-ARCH.tar.gz \
      nats-server-VERSION-linux-ARCH/nats-server
  } >"$PINS.part"
  touch "$PINS"
  diff "$PINS" "$PINS.part" || true
  mv "$PINS.part" "$PINS"
  [ $MISSING -eq 0 ] || die "$MISSING hashes are not to be had; what has none is built"
}

main
