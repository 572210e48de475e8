#!/usr/bin/env bash
# Installs the pinned npm packages of api/ts, unless they are there: the TypeScript generator, the compiler
# and Connect.
#
#   hack/tools/gen/typescript.sh          that
#   hack/tools/gen/typescript.sh build    and compiles the clients into api/ts/dist
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../../api/ts"
# Tests of several packages come here at once.
if command -v flock >/dev/null; then
  mkdir -p ../../bin
  exec 9>../../bin/typescript.lock
  flock 9
fi

install() {
  local stamp=node_modules/.orderd-installed major
  if [ "$stamp" -nt package-lock.json ] && [ "$stamp" -nt package.json ]; then return 0; fi
  major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  if [ "$major" -lt 20 ]; then
    echo "error: Node.js 20 or later and npm are needed for the TypeScript clients; found: $(node --version 2>/dev/null || echo none)" >&2
    exit 1
  fi
  echo "installing the npm packages of api/ts…" >&2
  npm ci --ignore-scripts --no-progress >&2
  touch "$stamp"
}

install
[ "${1:-}" != build ] || npm run --silent build >&2
