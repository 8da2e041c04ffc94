#!/usr/bin/env bash
# Benchmarks, all in one run, into one report:
#   scripts/bench.sh [--quick] [--check] [--json PATH] [--report PATH.html] [NAME...] [-- OPTION...]
# NAMEs are some of `trefoil bench --list`; options behind `--` are those of `trefoil bench`.
#
# --check exits 6 where a target of scripts/bench-targets.txt is missed, unless docs/benchmarks.md
# names its ratio under "Targets that are missed", with the reason. What could not be measured here,
# as a peer is not there, is said and is no miss.
#
# TREFOIL names the binary; where it does not, the repository's own is built and run. TARGETS and
# PROFILES name other files than the two.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
targets="${TARGETS:-$here/bench-targets.txt}"
profiles="${PROFILES:-$here/../docs/benchmarks.md}"
names=() options=() check=no json=bench.json report=bench.html

while [ $# -gt 0 ]; do
    case "$1" in
        --quick) options+=(--quick) ;;
        --check) check=yes ;;
        --json | --report)
            [ $# -gt 1 ] || { echo "$1 needs a path" >&2; exit 2; }
            case "$1" in --json) json="$2" ;; *) report="$2" ;; esac
            shift
            ;;
        --) shift; options+=("$@"); break ;;
        -*) echo "there is no option $1; options of \`trefoil bench\` go behind --" >&2; exit 2 ;;
        *) names+=("$1") ;;
    esac
    shift
done

if [ -n "${TREFOIL:-}" ]; then
    trefoil=("$TREFOIL")
else
    cargo build --release --quiet --manifest-path "$here/../Cargo.toml" --bin trefoil
    target="${CARGO_TARGET_DIR:-$here/../target}"
    trefoil=("$target/release/trefoil")
fi
if [ ${#names[@]} -eq 0 ]; then
    mapfile -t names < <("${trefoil[@]}" bench --list | cut -d' ' -f1)
fi

# All cores, unless options say something else: what is compared runs on the same ones.
cores="$(nproc)"
case " ${options[*]:-} " in
    *" --cores "* | *" --pin "*) ;;
    *) options+=(--cores "$cores") ;;
esac

# Ratios of all shards end with ",N" there, and are none where there is one shard.
wanted=()
if [ "$check" = yes ]; then
    while read -r name target; do
        case "$name" in '' | '#'*) continue ;; esac
        case " ${names[*]} " in *" $name "*) ;; *) continue ;; esac
        case "$target" in
            *,N[\<\>]*)
                [ "$cores" -gt 1 ] || continue
                target="${target/,N/,$cores}"
                ;;
        esac
        wanted+=("$target")
    done < "$targets"
fi

errors="$(mktemp)"
trap 'rm -f "$errors"' EXIT
status=0
"${trefoil[@]}" bench "${names[@]}" --json "$json" --report "$report" "${options[@]}" \
    "${wanted[@]/#/--threshold=}" 2> >(tee "$errors" >&2) || status=$?
wait
echo "results: $json, $report" >&2
if [ "$check" = no ] || { [ "$status" -ne 0 ] && [ "$status" -ne 6 ]; }; then
    exit "$status"
fi

known="$(awk '/^## / { on = ($0 == "## Targets that are missed") } on' "$profiles")"
missed=0
for target in "${wanted[@]}"; do
    ratio="${target%%[<>]=*}"
    if grep -qF -- "$ratio was not measured" "$errors"; then
        echo "not measured here: $target" >&2
    elif grep -qF -- "$ratio is " "$errors"; then
        if grep -qF -- "\`$ratio\`" <<< "$known"; then
            echo "missed, with its reason in $(basename "$profiles"): $target" >&2
        else
            echo "MISSED, and nothing says why: $target" >&2
            missed=$((missed + 1))
        fi
    else
        echo "met: $target" >&2
    fi
done
[ "$missed" -eq 0 ] || exit 6
