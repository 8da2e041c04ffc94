#!/usr/bin/env bash
# Runs the acceptance pack with the release binary and counts: scripts/fr082.sh [options of run].
set -uo pipefail
cd "$(dirname "$0")/.."
pack=harness/tests/fr082
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cargo build --release --quiet || exit 1
binary="${CARGO_TARGET_DIR:-target}/release/trefoil"
passed=0 failed=0 refused=0
for query in "$pack"/queries/*.sql; do
    name=$(basename "$query" .sql)
    "$binary" run "$pack/schema.sql" "$query" --format ndjson --output "$out/$name.ndjson" "$@" \
        2>"$out/$name.err"
    code=$?
    case $name in
        02_* | 07_*)
            if [ $code = 3 ]; then passed=$((passed + 1)); echo "ok      $name (refused)"; else
                failed=$((failed + 1)); echo "FAILED  $name: exit code $code, 3 was due"; fi
            continue ;;
    esac
    if [ $code = 3 ]; then
        refused=$((refused + 1)); echo "not yet $name: $(head -n 1 "$out/$name.err")"
    elif [ $code != 0 ]; then
        failed=$((failed + 1)); echo "FAILED  $name: exit code $code: $(head -n 1 "$out/$name.err")"
    elif verdict=$(python3 "$pack/compare.py" "$pack/expected/$name.csv" "$out/$name.ndjson" \
        $(python3 - "$pack" "$name" <<'PY'
import json, sys
for q in json.load(open(sys.argv[1] + "/queries/expectations.json")):
    if q["query"] == sys.argv[2] + ".sql":
        print(*q.get("compare_args", []))
PY
)); then
        passed=$((passed + 1)); echo "ok      $name: $verdict"
    else
        failed=$((failed + 1)); echo "FAILED  $name"; echo "$verdict" | head -n 4
    fi
done
echo "$passed passed, $refused not yet supported, $failed failed"
[ $failed = 0 ]
