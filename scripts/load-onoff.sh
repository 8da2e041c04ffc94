#!/usr/bin/env bash
# Half a second of 200,000 records a second, and half a second of nothing:
# scripts/load-onoff.sh [OPTION...], as `trefoil load` has them; they go before these.
# TREFOIL names the binary; where it does not, the repository's own is built and run.
set -euo pipefail
if [ -n "${TREFOIL:-}" ]; then
    exec "$TREFOIL" load --schedule onoff --rate 200000 --period 1s "$@"
fi
manifest="$(dirname "$0")/../Cargo.toml"
exec cargo run --release --quiet --manifest-path "$manifest" --bin trefoil -- \
    load --schedule onoff --rate 200000 --period 1s "$@"
