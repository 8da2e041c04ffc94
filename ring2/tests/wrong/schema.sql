CREATE SOURCE trades (
    trade_id BIGINT NOT NULL, symbol VARCHAR, price DOUBLE, volume BIGINT, tags VARCHAR[],
    detail STRUCT<venue VARCHAR, lot INT>, event_time TIMESTAMP(3) NOT NULL,
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (connector = 'file', path = 'trades.ndjson', format = 'json');
CREATE SOURCE quotes (quote_id BIGINT, symbol VARCHAR, bid DOUBLE, event_time TIMESTAMP(3),
    WATERMARK FOR event_time) WITH (connector = 'file', path = 'quotes.ndjson', format = 'json');
CREATE SOURCE feed (k VARCHAR, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts)
    WITH (connector = 'kafka', topic = 'feed', bootstrap_servers = 'localhost:9092', format = 'json');
CREATE SOURCE untimed (k VARCHAR, v BIGINT, ts TIMESTAMP(3)) WITH (connector = 'kafka',
    topic = 'untimed', bootstrap_servers = 'localhost:9092', format = 'json');
CREATE TABLE customers (customer_id VARCHAR, tier VARCHAR, PRIMARY KEY (customer_id))
    WITH (connector = 'file', path = 'customers.ndjson', format = 'json');
CREATE TABLE notes (id BIGINT, text VARCHAR, PRIMARY KEY (id));
CREATE VIEW big AS SELECT symbol, price * volume AS total FROM trades WHERE volume > 100;
CREATE VIEW bigger AS SELECT symbol FROM big WHERE total > 1000;
CREATE SINK out (symbol VARCHAR, n BIGINT) WITH (connector = 'file', path = 'o.ndjson', format = 'json');
