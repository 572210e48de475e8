#!/usr/bin/env bash
# A browser for the tests that drive a page: Chromium or Chrome from the PATH (ORDERD_BROWSER names another), or else
# Chromium, which apt-get installs if missing.
#
#   hack/tools/browser.sh install    has one, for the tests
#   hack/tools/browser.sh path       where it is; fails if there is none
set -euo pipefail
LOGS=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)/bin/logs

die() {
  echo "error: $*" >&2
  exit 1
}

# find_browser prints the first there is.
find_browser() {
  local name
  for name in ${ORDERD_BROWSER:+"$ORDERD_BROWSER"} chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" && return 0
  done
  return 1
}

install() {
  command -v apt-get >/dev/null || die "install Chromium or Chrome, or name one: ORDERD_BROWSER"
  echo "installing Chromium…" >&2
  mkdir -p "$LOGS"
  (apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium) \
    >"$LOGS/apt-chromium.log" 2>&1 || die "apt-get install chromium failed; its output is in $LOGS/apt-chromium.log"
}

case ${1:-} in
install) find_browser >/dev/null || install ;;
path) find_browser || die "there is no browser: hack/tools/browser.sh install" ;;
*) die "usage: hack/tools/browser.sh install|path" ;;
esac
