#!/usr/bin/env bash
# Says which version of orderd this tree is; the one rule, for binaries, images and the chart.
#
#   hack/version.sh             the version
#   hack/version.sh revision    the commit's whole hash, or "unknown"
#   hack/version.sh created     the commit's time as RFC 3339, or the year 1970 if it is unknown
#   hack/version.sh ldflags     what `go build -ldflags` takes, so that a binary says the version
#   hack/version.sh check       whether the chart is of this version
#
# The version is what `git describe` says, without the v, and always a SemVer:
#
#   0.1.0                       the commit with the tag v0.1.0
#   0.1.0-14-g4d69daa           14 commits after that tag; without a tag, 0.1.0 is the chart's appVersion and 14 the
#                               number of commits that this clone has (in a shallow clone: few; the hash still tells)
#   0.1.0-14-g4d69daa-dirty     the same, with changes that are not committed
#   0.1.0-unknown               a copy of the files, without git
#
# An archive that git (or GitHub) made has no repository; hack/VERSION tells its commit then.
set -euo pipefail
shopt -s inherit_errexit
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
PACKAGE=github.com/orderd-dev/orderd/orderd/kit/version
RELEASE='v[0-9]*.[0-9]*.[0-9]*'

git_here() { git --no-optional-locks -C "$ROOT" "$@"; }

# A copy of this tree inside somebody else's repository is not of their version.
in_git() { [ "$(git_here rev-parse --show-toplevel 2>/dev/null)" = "$ROOT" ]; }

# line NUMBER: of hack/VERSION, if git filled it in.
line() { sed -n "$1{/Format/!p;}" "$ROOT/hack/VERSION"; }

chart() { sed -n "s/^$1: *//p" "$ROOT/charts/orderd/Chart.yaml" | tr -d \"\'; }

of_git() {
  local described dirty=""
  if ! described=$(git_here describe --tags --match "$RELEASE" --abbrev=7 --dirty 2>/dev/null); then
    [ -z "$(git_here status --porcelain --untracked-files=no)" ] || dirty=-dirty
    described=$(chart appVersion)-$(git_here rev-list --count HEAD)-g$(git_here rev-parse --short=7 HEAD)$dirty
  fi
  echo "${described#v}"
}

of_archive() {
  local described revision
  described=$(line 1) revision=$(line 2)
  if [[ $described == $RELEASE ]]; then
    echo "${described#v}"
  elif [ -n "$revision" ]; then
    echo "$(chart appVersion)-0-g${revision:0:7}"
  else
    echo "$(chart appVersion)-unknown"
  fi
}

version() {
  local found
  if in_git; then found=$(of_git); else found=$(of_archive); fi
  if [[ ! $found =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]]; then
    echo "error: $found is not a SemVer: a release's tag is v1.2.3 or v1.2.3-rc.1" >&2
    exit 1
  fi
  echo "$found"
}

revision() {
  local found
  if in_git; then found=$(git_here rev-parse HEAD); else found=$(line 2); fi
  echo "${found:-unknown}"
}

created() {
  local found
  if in_git; then found=$(TZ=UTC0 git_here log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd); else found=$(line 3); fi
  echo "${found:-1970-01-01T00:00:00Z}"
}

# The chart's appVersion is the release that the version starts from or, in the commits that prepare one, the next.
check() {
  local version release app
  version=$(version) app=$(chart appVersion)
  release=$(sed -E 's/(-[0-9]+-g[0-9a-f]{7,}|-unknown)?(-dirty)?$//' <<<"$version")
  if [ "$app" != "$(chart version)" ]; then
    echo "error: Chart.yaml has version $(chart version) and appVersion $app: both are released together" >&2
    exit 1
  fi
  if [ "$app" = "$release" ]; then return 0; fi
  if [ "$version" = "$release" ] || [ "$(printf '%s\n' "${app%%-*}" "${release%%-*}" | sort -V | tail -1)" != "${app%%-*}" ]; then
    echo "error: this is version $version, and Chart.yaml's appVersion is $app" >&2
    exit 1
  fi
}

case ${1:-version} in
version) version ;;
revision) revision ;;
created) created ;;
check) check ;;
ldflags) printf -- '-X %s.linked=%s\n' "$PACKAGE" "$(version)" ;;
*)
  echo "usage: hack/version.sh [version|revision|created|ldflags|check]" >&2
  exit 2
  ;;
esac
