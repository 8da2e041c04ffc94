#!/usr/bin/env bash
# Ring 0's tests under AddressSanitizer: scripts/asan.sh [arguments of cargo test]. The stable
# compiler is told to take the flag; std itself is not instrumented.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=address ${RUSTFLAGS:-}"
# Its objects are no use to other builds.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/asan"
exec cargo test --package trefoil-ring0 --target "$target" --lib --tests "$@"
