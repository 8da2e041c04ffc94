#!/usr/bin/env bash
# All that a change has to pass: format, lints, docs, licences, tests.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '\n== %s\n' "$*" >&2; "$@"; }

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --quiet -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --workspace --no-deps --quiet
if cargo deny --version >/dev/null 2>&1; then
    step cargo deny check bans licenses sources
else
    echo "cargo-deny is not installed: licences and sources were not checked" >&2
fi
step cargo test --workspace
