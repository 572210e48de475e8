#!/usr/bin/env bash
# Compares the protos with an earlier state, so that no client breaks: BASE (a git revision) if set, else
# the remote's main branch if this is not it, else the commit before.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
resolve() { git rev-parse --quiet --verify "$1^{commit}" || true; }
base=$(resolve "${BASE:-origin/main}")
if [ -z "${BASE:-}" ] && { [ -z "$base" ] || [ "$base" = "$(resolve HEAD)" ]; }; then base=$(resolve HEAD~1); fi
if [ -z "$base" ] || ! git cat-file -e "$base:api/buf.yaml" 2>/dev/null; then
  echo "buf breaking: SKIPPED, there are no earlier protos to compare with"
  exit 0
fi
echo "buf breaking api --against ${base:0:12}"
earlier=$(mktemp -d)
trap 'rm -rf "$earlier"' EXIT
git archive "$base" api | tar -x -C "$earlier"
bin/tools/buf breaking api --against "$earlier/api"
