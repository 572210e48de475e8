#!/usr/bin/env bash
# Installs the pinned npm packages of api/ts, unless they are there: the TypeScript generator, the compiler
# and Connect.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../../api/ts"
stamp=node_modules/.orderd-installed
if [ "$stamp" -nt package-lock.json ] && [ "$stamp" -nt package.json ]; then exit 0; fi
major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
if [ "$major" -lt 20 ]; then
  echo "error: Node.js 20 or later and npm are needed for the TypeScript clients; found: $(node --version 2>/dev/null || echo none)" >&2
  exit 1
fi
echo "installing the npm packages of api/ts…" >&2
npm ci --ignore-scripts --no-progress >&2
touch "$stamp"
