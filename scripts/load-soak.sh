#!/usr/bin/env bash
# A moderate rate for eight hours:
# scripts/load-soak.sh [OPTION...], as `trefoil load` has them; they go before these.
# TREFOIL names the binary; where it does not, the repository's own is built and run.
set -euo pipefail
if [ -n "${TREFOIL:-}" ]; then
    exec "$TREFOIL" load --schedule steady --rate 50000 --duration 8h --warmup 1m "$@"
fi
manifest="$(dirname "$0")/../Cargo.toml"
exec cargo run --release --quiet --manifest-path "$manifest" --bin trefoil -- \
    load --schedule steady --rate 50000 --duration 8h --warmup 1m "$@"
