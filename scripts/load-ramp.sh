#!/usr/bin/env bash
# A rate that goes evenly from 10,000 to 200,000 records a second:
# scripts/load-ramp.sh [OPTION...], as `trefoil load` has them; they go before these.
# TREFOIL names the binary; where it does not, the repository's own is built and run.
set -euo pipefail
if [ -n "${TREFOIL:-}" ]; then
    exec "$TREFOIL" load --schedule ramp --rate 10000 --rate-to 200000 "$@"
fi
manifest="$(dirname "$0")/../Cargo.toml"
exec cargo run --release --quiet --manifest-path "$manifest" --bin trefoil -- \
    load --schedule ramp --rate 10000 --rate-to 200000 "$@"
