#!/usr/bin/env bash
# All that a change has to pass: format, lints, docs, licences, tests. With package names behind
# it, only these: scripts/check.sh trefoil-ring0 trefoil-ring1.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '\n== %s\n' "$*" >&2; "$@"; }

packages=(--workspace)
if [ $# -gt 0 ]; then
    packages=("${@/#/--package=}")
fi
left_out=()

for script in scripts/*.sh; do
    step bash -n "$script"
done
step cargo fmt --all --check
step cargo clippy --locked "${packages[@]}" --all-targets --quiet -- -D warnings
step env RUSTDOCFLAGS="-D warnings" cargo doc --locked "${packages[@]}" --no-deps --quiet
if cargo deny --version >/dev/null 2>&1; then
    step cargo deny --locked check bans licenses sources
else
    left_out+=("licences, bans and sources of dependencies: cargo-deny is not installed")
fi
step cargo test --locked "${packages[@]}"
# What has a workspace of its own, in the same target folder: most of it is built already.
if [ $# -eq 0 ]; then
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
    for folder in benches scripts/compare; do
        manifest=(--manifest-path "$folder/Cargo.toml")
        step cargo fmt "${manifest[@]}" --check
        step cargo clippy --locked "${manifest[@]}" --all-targets --quiet -- -D warnings
    done
    step cargo test --locked --manifest-path scripts/compare/Cargo.toml
fi

printf '\n== all that was checked is in order\n' >&2
for what in "${left_out[@]}"; do
    printf 'NOT CHECKED: %s\n' "$what" >&2
done
