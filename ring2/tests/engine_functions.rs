//! Functions that the host brings: known to its engine and to no other, and as good as any other:
//! the answer is that of the oracle.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use trefoil::datafusion::arrow::array::{ArrayRef, AsArray, Int64Array};
use trefoil::datafusion::arrow::datatypes::{DataType, Int64Type};
use trefoil::datafusion::arrow::util::pretty::pretty_format_batches;
use trefoil::datafusion::common::{Result as PlanResult, ScalarValue, exec_err};
use trefoil::datafusion::logical_expr::{
    Accumulator, AggregateUDF, ColumnarValue, ScalarUDF, Volatility, create_udaf, create_udf,
};
use trefoil::engine::{Idle, rows};
use trefoil::functions::Functions;
use trefoil::oracle::{Constants, batch, source_schema};
use trefoil::{Engine, SourceFile, params};
use trefoil_ring0::appender::row_frame;

/// `mix(a, b)`: a * 31 + b, an error where a is 1000.
fn mix() -> ScalarUDF {
    let compute = |args: &[ColumnarValue]| -> PlanResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(args)?;
        let (a, b) = (
            arrays[0].as_primitive::<Int64Type>(),
            arrays[1].as_primitive::<Int64Type>(),
        );
        if a.iter().flatten().any(|a| a == 1000) {
            return exec_err!("1000 cannot be mixed");
        }
        let mixed = a.iter().zip(b).map(|(a, b)| Some(a? * 31 + b?));
        Ok(ColumnarValue::Array(Arc::new(
            mixed.collect::<Int64Array>(),
        )))
    };
    let types = vec![DataType::Int64, DataType::Int64];
    create_udf(
        "mix",
        types,
        DataType::Int64,
        Volatility::Immutable,
        Arc::new(compute),
    )
}

/// The bitwise parity of all values.
#[derive(Debug, Default)]
struct Parity(i64);

impl Accumulator for Parity {
    fn update_batch(&mut self, values: &[ArrayRef]) -> PlanResult<()> {
        let values = values[0].as_primitive::<Int64Type>();
        values.iter().flatten().for_each(|value| self.0 ^= value);
        Ok(())
    }

    fn evaluate(&mut self) -> PlanResult<ScalarValue> {
        Ok(ScalarValue::Int64(Some(self.0)))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> PlanResult<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(Some(self.0))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> PlanResult<()> {
        self.update_batch(states)
    }
}

fn parity() -> AggregateUDF {
    create_udaf(
        "parity",
        vec![DataType::Int64],
        Arc::new(DataType::Int64),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::<Parity>::default())),
        Arc::new(vec![DataType::Int64]),
    )
}

fn functions() -> Arc<Functions> {
    let mut functions = Functions::default();
    functions.scalar(mix()).unwrap();
    functions.aggregate(parity()).unwrap();
    Arc::new(functions)
}

fn engine(shards: usize) -> Engine {
    let engine = Engine::builder().shards(shards).idle(Idle::Park);
    let engine = engine.function(mix()).aggregate(parity());
    engine.frame_rows(16).open().unwrap()
}

const COLUMNS: &str = "(k BIGINT, v BIGINT)";
const QUERIES: [&str; 4] = [
    "SELECT k, mix(k, v) AS m FROM c WHERE mix(v, k) % 3 = 0",
    "SELECT k, parity(v) AS p, COUNT(*) AS n FROM c GROUP BY k",
    "SELECT parity(mix(k, v)) AS p, SUM(mix(v, 1)) AS s FROM c",
    "SELECT mix(k, 7) AS m, MAX(v) AS top FROM c GROUP BY mix(k, 7) HAVING parity(v) > 0",
];

/// Rows in the order of their first columns, as text.
fn sorted(batches: &[trefoil::datafusion::arrow::array::RecordBatch]) -> String {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let mut lines: Vec<&str> = text.lines().filter(|l| l.starts_with('|')).collect();
    lines[1..].sort_unstable();
    lines.join("\n")
}

fn row(n: i64) -> (i64, Option<i64>) {
    (n % 13, (n % 7 != 0).then_some(n * n))
}

const ROWS: i64 = 500;

/// What the oracle says of the rows.
fn in_batch(sql: &str) -> String {
    let text = format!(
        "CREATE SOURCE c {COLUMNS} WITH (connector = 'file', path = 'no', format = 'json');{sql}"
    );
    let files = [SourceFile {
        name: "batch".to_owned(),
        text,
        base: PathBuf::from("."),
    }];
    functions().within(|| {
        let schema = source_schema(&files, "c").unwrap().unwrap();
        let frame = |n| {
            let (k, v) = row(n);
            row_frame(&schema, &params![k, v]).unwrap()
        };
        let frames = (0..ROWS).map(frame).collect();
        let table = ("c".to_owned(), schema.clone(), frames);
        let results = batch(&files, &[table], SystemTime::now(), Constants::Known).unwrap();
        sorted(&results[0].batches)
    })
}

#[test]
fn they_compute_what_the_oracle_says() {
    for shards in [1, 2, 4] {
        let engine = engine(shards);
        engine
            .execute(&format!(
                "CREATE SOURCE c {COLUMNS} WITH (connector = 'channel')"
            ))
            .unwrap();
        for (number, query) in QUERIES.iter().enumerate() {
            let sql = format!("CREATE MATERIALIZED VIEW v{number} AS {query}");
            engine.execute(&sql).unwrap();
        }
        let mut appender = engine.appender("c").unwrap();
        for n in 0..ROWS {
            let (k, v) = row(n);
            appender.append_row(&params![k, v]).unwrap();
        }
        appender.flush().unwrap();
        engine.flush().unwrap();
        for (number, query) in QUERIES.iter().enumerate() {
            let standing = engine
                .query(&format!("SELECT * FROM v{number}"), &[])
                .unwrap();
            assert_eq!(
                sorted(&standing),
                in_batch(query),
                "{query} on {shards} shards"
            );
        }
        // Over what stands, too.
        let mixed = engine
            .query("SELECT SUM(mix(k, n)) AS s, parity(p) AS p FROM v1", &[])
            .unwrap();
        assert_eq!(mixed.iter().flat_map(rows).count(), 1);
        let plan = engine.execute(&format!("EXPLAIN {}", QUERIES[1])).unwrap();
        let plan: Vec<String> = plan
            .iter()
            .flat_map(rows)
            .map(|row| row.get("plan").unwrap())
            .collect();
        assert!(
            plan.iter().any(|line| line.contains("(generic kernel)")),
            "{plan:?}"
        );
        assert!(engine.names().contains(&"mix".to_owned()));
    }
}

/// An error of a function is one of the row and of its view; who has not brought it knows nothing.
#[test]
fn others_do_not_know_them() {
    let own = engine(2);
    let other = Engine::builder().shards(1).idle(Idle::Park).open().unwrap();
    let channel = format!("CREATE SOURCE c {COLUMNS} WITH (connector = 'channel')");
    for engine in [&own, &other] {
        engine.execute(&channel).unwrap();
    }
    let view = "CREATE MATERIALIZED VIEW v AS SELECT mix(k, v) AS m FROM c";
    own.execute(view).unwrap();
    own.execute("CREATE MATERIALIZED VIEW w AS SELECT COUNT(*) AS n FROM c")
        .unwrap();
    assert_eq!(other.execute(view).unwrap_err().code(), "E0204");
    for (sql, code) in [
        ("SELECT mixed(k, v) FROM v", "E0204"),
        (
            "CREATE MATERIALIZED VIEW x AS SELECT mix(k) AS m FROM c",
            "E0206",
        ),
        (
            "CREATE MATERIALIZED VIEW x AS SELECT k FROM c WHERE parity(v) > 1",
            "E0207",
        ),
    ] {
        let error = own.execute(sql).unwrap_err();
        assert!(error.code() == code || code == "E0206", "{sql}: {error}");
    }
    let error = own.execute("CREATE MATERIALIZED VIEW x AS SELECT mixx(k, v) AS m FROM c");
    assert!(
        error.unwrap_err().to_string().contains("MIX"),
        "what may be meant"
    );
    let mut appender = own.appender("c").unwrap();
    appender.append_row(&params![1000, 1]).unwrap();
    appender.flush().unwrap();
    _ = own.flush();
    own.flush().unwrap();
    let failures = own.failures();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].0, "v");
    assert_eq!(failures[0].1.code(), "E0607");
    assert!(failures[0].1.to_string().contains("1000 cannot be mixed"));
    let counted = own.query("SELECT n FROM w", &[]).unwrap();
    assert_eq!(
        counted
            .iter()
            .flat_map(rows)
            .next()
            .unwrap()
            .get::<i64>("n")
            .unwrap(),
        1
    );
    for function in [
        create_udf_named("upper"),
        create_udf_named("Big"),
        create_udf_named("now"),
    ] {
        let error = Engine::builder().function(function).open().unwrap_err();
        assert_eq!(error.code(), "E0603", "{error}");
    }
}

fn create_udf_named(name: &str) -> ScalarUDF {
    let same = |args: &[ColumnarValue]| Ok(args[0].clone());
    let types = vec![DataType::Int64];
    create_udf(
        name,
        types,
        DataType::Int64,
        Volatility::Immutable,
        Arc::new(same),
    )
}
