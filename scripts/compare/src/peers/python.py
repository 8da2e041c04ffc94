# PEER QUERY THREADS ROWS, and the columns on standard input. Prints seconds and a digest of the
# answer as JSON; the digest is that of data.rs.
import json
import os
import sys
import time

import numpy
import pyarrow

peer, query, threads, rows = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
SEED = 0x9E3779B97F4A7C15
WINDOW_MS = 60_000


def column(kind):
    data = bytearray(rows * 8)
    view, at = memoryview(data), 0
    while at < len(data):
        got = sys.stdin.buffer.readinto(view[at:])
        if not got:
            raise SystemExit("the columns are not all there")
        at += got
    return numpy.frombuffer(data, kind)


def batch():
    if query == "keyed":
        columns = [("k", column("<i8")), ("v", column("<f8"))]
    else:
        columns = [("k", column("<i8")), ("v", column("<i8")), ("at", column("<i8"))]
    return pyarrow.RecordBatch.from_arrays(
        [pyarrow.array(values) for _, values in columns], [name for name, _ in columns]
    )


# Both give columns in this order. `at` is in milliseconds, so that a window is a quotient.
SQL = {
    "keyed": 'SELECT k, COUNT(*) AS n, SUM(v) AS s, MIN(v) AS a, MAX(v) AS z FROM t GROUP BY k',
    "tumbling": 'SELECT k, "at" {divided} 60000 * 60000 AS w, COUNT(*) AS n, SUM(v) AS s '
    'FROM t GROUP BY k, "at" {divided} 60000 * 60000',
}


def duckdb_columns(records):
    import duckdb

    connection = duckdb.connect(config={"threads": threads})
    connection.execute("SET enable_progress_bar = false")
    connection.register("given", records)
    connection.execute("CREATE TABLE t AS SELECT * FROM given")
    sql = SQL[query].format(divided="//")
    begin = time.perf_counter()
    columns = list(connection.execute(sql).fetchnumpy().values())
    return time.perf_counter() - begin, columns, duckdb.__version__


def polars_columns(records):
    import polars

    frame = polars.DataFrame(records).lazy()
    v = polars.col("v")
    if query == "keyed":
        keys = ["k"]
        wanted = [polars.len(), v.sum().alias("s"), v.min().alias("a"), v.max().alias("z")]
    else:
        keys = ["k", (polars.col("at") // WINDOW_MS * WINDOW_MS).alias("w")]
        wanted = [polars.len(), v.sum().alias("s")]
    begin = time.perf_counter()
    columns = [c.to_numpy() for c in frame.group_by(keys).agg(wanted).collect().get_columns()]
    return time.perf_counter() - begin, columns, polars.__version__


def datafusion_columns(records):
    import datafusion

    config = datafusion.SessionConfig().with_target_partitions(threads)
    context = datafusion.SessionContext(config)
    # As it would read them: batches of 8,192 rows, in as many partitions as threads.
    batches = [records.slice(at, 8192) for at in range(0, rows, 8192)]
    size = -(-len(batches) // threads)
    parts = [batches[at : at + size] for at in range(0, len(batches), size)]
    context.register_record_batches("t", parts)
    sql = SQL[query].format(divided="/")
    begin = time.perf_counter()
    table = pyarrow.Table.from_batches(context.sql(sql).collect())
    columns = [c.to_numpy() for c in table.columns]
    return time.perf_counter() - begin, columns, datafusion.__version__


def flink_columns(records):
    from importlib.metadata import version

    from pyflink.common import Configuration
    from pyflink.table import EnvironmentSettings, TableEnvironment

    settings = {
        "parallelism.default": str(threads),
        "taskmanager.numberOfTaskSlots": str(threads),
        # Else groups of a million keys go through files.
        "taskmanager.memory.managed.size": "4g",
        "taskmanager.memory.network.max": "256m",
    }
    configuration = Configuration()
    for name, value in settings.items():
        configuration.set_string(name, value)
    # A bounded job: groups leave once. It is timed into a sink that forgets them, as what Python
    # makes of rows is none of its work, by what it says of itself, as each job starts a cluster
    # of its own here; the one that answers for the digest goes before and warms it up.
    builder = EnvironmentSettings.new_instance().in_batch_mode()
    environment = TableEnvironment.create(builder.with_configuration(configuration).build())
    table = environment.from_pandas(records.to_pandas(), splits_num=threads)
    environment.create_temporary_view("t", table)
    if query == "keyed":
        sql = SQL[query]
        types = "k BIGINT, n BIGINT, s DOUBLE, a DOUBLE, z DOUBLE"
    else:
        sql = SQL[query].format(divided="/").replace('"', "`")
        types = "k BIGINT, w BIGINT, n BIGINT, s BIGINT"
    environment.execute_sql(f"CREATE TEMPORARY TABLE gone ({types}) WITH ('connector' = 'blackhole')")
    frame = environment.sql_query(sql).to_pandas()
    columns = [frame[name].to_numpy() for name in frame.columns]
    job = environment.execute_sql(f"INSERT INTO gone {sql}").get_job_client()
    seconds = job.get_job_execution_result().result().get_net_runtime() / 1000
    return seconds, columns, version("apache-flink")


def digest(columns):
    count = numpy.asarray(columns[1 if query == "keyed" else 2]).astype("i8")
    state = numpy.full(len(count), SEED, "u8")
    for values in columns:
        values = numpy.ma.getdata(values)
        if values.dtype.kind == "f" and query == "keyed":
            words = values.astype("f8").view("u8")
        else:
            words = values.astype("i8").view("u8")
        state = (state ^ words) * numpy.uint64(SEED)
        state ^= state >> numpy.uint64(29)
    total = int(state.sum(dtype="u8"))
    return {"groups": len(count), "rows": int(count.sum()), "sum": total}


seconds, columns, version = globals()[peer + "_columns"](batch())
# A line of its own, whatever a peer has printed before.
print()
print(json.dumps({"seconds": seconds, "version": f"{peer} {version}", **digest(columns)}))
