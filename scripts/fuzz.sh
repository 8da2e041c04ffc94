#!/usr/bin/env bash
# Runs a fuzz target for some seconds: scripts/fuzz.sh TARGET SECONDS [arguments of libFuzzer]. The
# stable compiler is told to take the flags. What a target learns is kept in fuzz/corpus/TARGET, and
# inputs that make it fail in fuzz/artifacts/TARGET; fuzz/seeds/TARGET is where it begins.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
if [ $# -lt 2 ]; then
    sed -n 's/^name = "\([a-z_]*\)"$/target: \1/p' Cargo.toml >&2
    echo "usage: scripts/fuzz.sh TARGET SECONDS [arguments of libFuzzer]" >&2
    exit 2
fi
name=$1 seconds=$2
shift 2
features=()
if [ "$name" = sql_parse ]; then
    features=(--features sql)
fi
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Ccodegen-units=1 -Cdebuginfo=line-tables-only \
-Cdebug-assertions -Coverflow-checks -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
${RUSTFLAGS:-}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
# The versions that the engine is built with.
[ -e Cargo.lock ] || cp ../Cargo.lock .
cargo build --release --target "$host" --bin "$name" "${features[@]}"
mkdir -p "corpus/$name" "artifacts/$name"
folders=("corpus/$name")
if [ -d "seeds/$name" ]; then
    folders+=("seeds/$name")
fi
exec "$CARGO_TARGET_DIR/$host/release/$name" "${folders[@]}" \
    -artifact_prefix="artifacts/$name/" -max_total_time="$seconds" "$@"
