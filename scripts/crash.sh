#!/usr/bin/env bash
# Kills runs with a state directory at random moments, and compares what they committed with an
# undisturbed run: scripts/crash.sh [--kills N] (200 of each query, where nothing is said).
set -euo pipefail
cd "$(dirname "$0")/.."
kills=200
if [ "${1:-}" = --kills ] && [ $# -eq 2 ]; then
    kills=$2
elif [ $# -gt 0 ]; then
    echo "usage: scripts/crash.sh [--kills N]" >&2
    exit 2
fi
TREFOIL_KILLS=$kills exec cargo nextest run --workspace --test crash --no-fail-fast
