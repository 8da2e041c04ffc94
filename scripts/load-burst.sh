#!/usr/bin/env bash
# 50,000 records a second, and ten times as many through a tenth of each second:
# scripts/load-burst.sh [OPTION...], as `trefoil load` has them; they go before these.
# TREFOIL names the binary; where it does not, the repository's own is built and run.
set -euo pipefail
if [ -n "${TREFOIL:-}" ]; then
    exec "$TREFOIL" load --schedule burst --rate 50000 --period 1s "$@"
fi
manifest="$(dirname "$0")/../Cargo.toml"
exec cargo run --release --quiet --manifest-path "$manifest" --bin trefoil -- \
    load --schedule burst --rate 50000 --period 1s "$@"
