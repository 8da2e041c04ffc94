#!/usr/bin/env bash
# Memory of what runs without an end: scripts/soak.sh FOLDER joins|windows [SECONDS]
# Interval, window and ASOF joins of two generated streams with 10,000 keys, or windows of every kind
# over one whose keys move, each for so many seconds (240) as fast as one shard goes. Once a second
# the resident memory is noted: FOLDER/memory.csv, and FOLDER/KIND-memory.svg draws it. TREFOIL names
# the binary; where it does not, the repository's own is built.
set -euo pipefail
usage() { sed -n '2s/.*: /usage: /p' "$0" >&2; exit 2; }
folder=${1:-} kind=${2:-}
seconds=${3:-240}
case $kind in
joins) all="interval window asof" ;;
windows) all="tumbling hopping cumulating session" ;;
*) usage ;;
esac
if [ -z "${TREFOIL:-}" ]; then
    manifest="$(dirname "$0")/../Cargo.toml"
    cargo build --release --quiet --manifest-path "$manifest" --bin trefoil
    TREFOIL="$(dirname "$0")/../target/release/trefoil"
fi
mkdir -p "$folder"
stream() {
    cat <<SQL
CREATE SOURCE $1 (id BIGINT, k BIGINT, v BIGINT, at TIMESTAMP(3),
    WATERMARK FOR at AS at - INTERVAL '2' SECOND)
    WITH (connector = 'generator', seed = $2, disorder = '1 second', fields.id.kind = 'sequence',
    fields.k.min = 0, fields.k.max = 9999, fields.at.step = '1 millisecond');
SQL
}
# Of each 100,000 records nine in ten have keys that no others have.
windowed() {
    echo "SELECT k, COUNT(*) AS n, SUM(v) AS s, window_end FROM (SELECT v, at, CASE WHEN k < 1000
        THEN k ELSE id / 100000 * 10000 + k END AS k FROM l) GROUP BY k, $1"
}
query() {
    case $1 in
    interval) echo "SELECT l.v, r.v AS w FROM l JOIN r ON l.k = r.k AND r.at BETWEEN
        l.at - INTERVAL '5' SECOND AND l.at + INTERVAL '5' SECOND" ;;
    window) echo "SELECT l.v, r.v AS w FROM TUMBLE(l, at, INTERVAL '10' SECOND) AS l
        FULL JOIN TUMBLE(r, at, INTERVAL '10' SECOND) AS r
        ON l.k = r.k AND l.window_start = r.window_start" ;;
    asof) echo "SELECT l.v, r.v AS w FROM l ASOF JOIN r MATCH_CONDITION (l.at >= r.at)
        ON l.k = r.k" ;;
    tumbling) windowed "TUMBLE(at, INTERVAL '1' MINUTE)" ;;
    hopping) windowed "HOP(at, INTERVAL '10' SECOND, INTERVAL '2' MINUTE)" ;;
    cumulating) windowed "CUMULATE(at, INTERVAL '20' SECOND, INTERVAL '1' MINUTE)" ;;
    session) windowed "SESSION(at, INTERVAL '10' SECOND)" ;;
    esac
}
echo "query,seconds,kib" > "$folder/memory.csv"
: > "$folder/records"
for name in $all; do
    { stream l 1
      [ "$kind" = windows ] || stream r 2
      echo "CREATE SINK none WITH (connector = 'blackhole') AS $(query "$name");"; } > "$folder/$name.sql"
    "$TREFOIL" run "$folder/$name.sql" --for "${seconds}s" --cores "${CORES:-1}" \
        --stats "$folder/$name.json" &
    run=$!
    begun=$SECONDS
    while kill -0 "$run" 2> /dev/null; do
        kib=$(awk '/^VmRSS/ { print $2 }' "/proc/$run/status" 2> /dev/null || true)
        [ -z "$kib" ] || [ "$SECONDS" = "$begun" ] || echo "$name,$((SECONDS - begun)),$kib" >> "$folder/memory.csv"
        sleep 1
    done
    wait "$run"
    read=$(grep -o '"rows_read":[ ]*[0-9]*' "$folder/$name.json" | awk -F: '{ n += $2 } END { print n }')
    echo "$name, $((read / 1000000)) M records" | tee -a "$folder/records"
done
awk -F, -v names="$(tr '\n' ';' < "$folder/records")" '
NR > 1 { n++; query[n] = $1; x[n] = $2; y[n] = $3 / 1024
         if ($2 > right) right = $2; if ($3 / 1024 > top) top = $3 / 1024 }
END {
    top = int(top / 50 + 1) * 50
    print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 320\" font-family=\"sans-serif\" font-size=\"12\">"
    print "<rect width=\"720\" height=\"320\" fill=\"white\"/>"
    for (i = 0; i <= 4; i++) {
        h = 270 - i * 60
        printf "<path d=\"M60 %d H700\" stroke=\"#ddd\"/><text x=\"54\" y=\"%d\" text-anchor=\"end\">%d</text>\n", h, h + 4, top * i / 4
        printf "<text x=\"%d\" y=\"288\" text-anchor=\"middle\">%d</text>\n", 60 + i * 160, right * i / 4
    }
    print "<text x=\"60\" y=\"20\">resident MiB</text><text x=\"700\" y=\"306\" text-anchor=\"end\">seconds</text>"
    split("#1f77b4 #d62728 #2ca02c #9467bd", colour, " ")
    split(names, name, ";")
    for (i = 1; i <= n; i++) {
        if (query[i] != last) { c++; last = query[i]; line[c] = "" }
        line[c] = line[c] sprintf("%.1f,%.1f ", 60 + x[i] / right * 640, 270 - y[i] / top * 240)
    }
    for (i = 1; i <= c; i++) {
        printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\"/>\n", line[i], colour[i]
        printf "<text x=\"%d\" y=\"20\" fill=\"%s\">%s</text>\n", 150 + (i - 1) * 145, colour[i], name[i]
    }
    print "</svg>"
}' "$folder/memory.csv" > "$folder/$kind-memory.svg"
