#!/usr/bin/env bash
# Makes the demo's certificate authority and what it signs, in bin/demo/certificates, unless they are there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mkdir -p bin/demo
go run ./hack/demo/certificates -dir bin/demo/certificates
