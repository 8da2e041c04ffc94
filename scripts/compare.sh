#!/usr/bin/env bash
# Trefoil beside other systems: the same data, answers that are compared, runs in turn.
#   scripts/compare.sh [--quick] [--json PATH] [--columns | --bench] [-- OPTION...]
#
# --columns  Keyed aggregations and tumbling windows over columns in memory (scripts/compare, a
#            workspace of its own): timely and differential-dataflow; DuckDB, Polars and DataFusion
#            where Python has them, Flink where it and Java are there. OPTIONs behind -- are for
#            this one; `-- --help` says which there are.
# --bench    Files, windows, joins and scans through SQL (`trefoil bench`), beside DuckDB, Polars and
#            DataFusion.
# Both, unless one is named. Results go to PATH (compare.json), those of `trefoil bench` beside it
# (compare-bench.json). What is not on this machine is said, and stands in the results' notes.
# Exit 1 where an answer is wrong or something fails.
#
# TREFOIL_BENCH_PYTHON names the Python, else it is python3. TREFOIL and TREFOIL_COMPARE name the two
# binaries; where they do not, they are built.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
columns=yes bench=yes quick=() options=() json=compare.json

while [ $# -gt 0 ]; do
    case "$1" in
        --quick) quick=(--quick) ;;
        --columns) bench=no ;;
        --bench) columns=no ;;
        --json)
            [ $# -gt 1 ] || { echo "--json needs a path" >&2; exit 2; }
            json="$2"
            shift
            ;;
        --) shift; options=("$@"); break ;;
        *) echo "there is no option $1; options of the comparison of columns go behind --" >&2
           exit 2 ;;
    esac
    shift
done
if [ "$columns$bench" = nono ]; then
    echo "--columns and --bench are each without the other" >&2
    exit 2
fi
if [ "$json" = - ] && [ "$bench" = yes ]; then
    echo "--json - is for --columns alone" >&2
    exit 2
fi

# Builds a binary, optimised, and says where it is: build FOLDER NAME
build() {
    cargo build --release --locked --quiet --manifest-path "$here/$1/Cargo.toml" --bin "$2" >&2
    echo "${CARGO_TARGET_DIR:-$here/$1/target}/release/$2"
}

status=0 failed=0
if [ "$columns" = yes ]; then
    compare="${TREFOIL_COMPARE:-$(build compare trefoil-compare)}"
    first="$json"
    rm -f -- "$first"
    "$compare" "${quick[@]}" --json "$json" "${options[@]}" || status=$?
    [ "$status" -ne 2 ] || exit 2
fi
if [ "$bench" = yes ]; then
    trefoil="${TREFOIL:-$(build .. trefoil)}"
    beside="${json%.json}-bench.json"
    rm -f -- "$beside"
    "$trefoil" bench files windows joins scan "${quick[@]}" --cores "$(nproc)" \
        --json "$beside" || failed=$?
    [ "$status" -ne 0 ] || status="$failed"
fi
for result in "${first:-}" "${beside:-}"; do
    [ ! -e "$result" ] || echo "results: $result" >&2
done
exit "$status"
