#!/usr/bin/env bash
# Ring 0's tests under AddressSanitizer: scripts/asan.sh [arguments of cargo test]. The stable
# compiler is told to take the flag; std itself is not instrumented, and within the pages of
# state, which are mapped, it sees no bounds.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=address ${RUSTFLAGS:-}"
# Its objects are no use to other builds.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/asan"
# The model checker leaks what it was checking when it finds what it is to find.
exec cargo test --locked --package trefoil-ring0 --target "$target" --lib --tests "$@" \
    -- --skip wake::model
