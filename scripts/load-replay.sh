#!/usr/bin/env bash
# The records of a file, with their own timing. The file is an option, as in
# scripts/load-replay.sh --file trades.ndjson --time-field at
# TREFOIL names the binary; where it does not, the repository's own is built and run.
set -euo pipefail
if [ -n "${TREFOIL:-}" ]; then
    exec "$TREFOIL" load --schedule replay "$@"
fi
manifest="$(dirname "$0")/../Cargo.toml"
exec cargo run --release --quiet --manifest-path "$manifest" --bin trefoil -- \
    load --schedule replay "$@"
