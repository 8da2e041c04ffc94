//! MIN and MAX of structs, of which any two have an order.

#![allow(clippy::unwrap_used)] // These are tests.

mod common;

use common::{Folder, run_script, text};

const SOURCE: &str = "CREATE SOURCE t (s STRUCT<a INT, b VARCHAR>) WITH \
                      (connector = 'file', path = 't.ndjson', format = 'json');\n";

fn run(folder: &Folder, sql: &str, shards: &str) -> String {
    let output = run_script(folder, &format!("{SOURCE}{sql};"), &["--cores", shards]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The least and the greatest of structs do not depend on the order of rows, NULL members or not:
/// what differs first decides, and NULL is greater than all else.
#[test]
fn extremes_of_structs_have_an_order() {
    let structs = [
        r#"{"a":1,"b":null}"#,
        r#"{"a":1,"b":"x"}"#,
        r#"{"a":null,"b":"y"}"#,
        r#"{"a":0,"b":"z"}"#,
        "null",
    ];
    let folder = Folder::new("extremes");
    let groups = "SELECT 1 AS one, MIN(s) AS a, MAX(s) AS z FROM t GROUP BY 1";
    let all = "SELECT COUNT(DISTINCT 7) AS one, MIN(s) AS a, MAX(s) AS z FROM t";
    let over = "SELECT DISTINCT 1 AS one, MIN(s) OVER () AS a, MAX(s) OVER () AS z FROM t";
    let want = "{\"one\":1,\"a\":{\"a\":0,\"b\":\"z\"},\"z\":{\"a\":null,\"b\":\"y\"}}\n";
    let without = "SELECT 1 AS one, MIN(s) AS a, MAX(s) AS z FROM t WHERE s.a = 1 GROUP BY 1";
    let want_without = "{\"one\":1,\"a\":{\"a\":1,\"b\":\"x\"},\"z\":{\"a\":1,\"b\":null}}\n";
    for first in 0..structs.len() {
        for step in [1, 2, 3] {
            let order = (0..structs.len()).map(|n| (first + n * step) % structs.len());
            let rows = order.map(|n| format!("{{\"s\":{}}}\n", structs[n]));
            folder.write("t.ndjson", &rows.collect::<String>());
            for (sql, want) in [
                (groups, want),
                (all, want),
                (over, want),
                (without, want_without),
            ] {
                for shards in ["1", "2"] {
                    assert_eq!(run(&folder, sql, shards), want, "{sql} {first} {step}");
                }
            }
        }
    }
}
