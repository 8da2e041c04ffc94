#!/usr/bin/env bash
# Keys of which few are very frequent:
# scripts/load-skew.sh [OPTION...], as `trefoil load` has them; they go before these.
# TREFOIL names the binary; where it does not, the repository's own is built and run.
set -euo pipefail
if [ -n "${TREFOIL:-}" ]; then
    exec "$TREFOIL" load --schedule steady --rate 100000 --keys 1000000 --zipf 1.2 "$@"
fi
manifest="$(dirname "$0")/../Cargo.toml"
exec cargo run --release --quiet --manifest-path "$manifest" --bin trefoil -- \
    load --schedule steady --rate 100000 --keys 1000000 --zipf 1.2 "$@"
