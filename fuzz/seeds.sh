#!/bin/sh
# Writes the statements of this repository as seeds for sql_parse: examples of docs/sql.md, wrong
# statements, queries of the acceptance data, hand-written queries of the oracle.
set -eu
cd "$(dirname "$0")/.."
to=fuzz/corpus/sql_parse
mkdir -p "$to"
python3 - "$to" <<'PY'
import hashlib, pathlib, re, sys

def read(path):
    return pathlib.Path(path).read_text(encoding="utf-8")

seeds = re.findall(r"```sql[^\n]*\n(.*?)```", read("docs/sql.md"), re.S)
for path in pathlib.Path("ring2/tests/wrong").glob("*.sql"):
    seeds += read(path).split("\n---\n")
for path in pathlib.Path("harness/tests/fr082").rglob("*.sql"):
    seeds.append(read(path))
seeds += re.findall(r'"(SELECT (?:[^"\\]|\\.)*)"', read("ring2/tests/oracle/queries.rs"))
for seed in seeds:
    seed = re.sub(r"\\\n\s*", "", seed).strip()
    name = hashlib.sha1(seed.encode()).hexdigest()
    (pathlib.Path(sys.argv[1]) / name).write_text(seed, encoding="utf-8")
print(len(seeds), "seeds")
PY
