CREATE SORCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (a BIGNT) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (a BIGINT, a DATE) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE trades (a BIGINT) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (a BIGINT)
---
CREATE SOURCE s (a BIGINT) WITH (conector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'flie', path = 'x', format = 'json')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'jsn')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', format = 'json')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'json', delimiter = ';')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'csv', delimeter = ';')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'csv', delimiter = '||')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'csv', delimiter = '')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'csv', quote = 'ü')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'csv', delimiter = '#', comment = '#')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'csv', delimiter = '\t', blanks = 'trim')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'csv', header = 'no')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'csv', line_end = 'cr')
---
CREATE SOURCE s (a BIGINT, b BIGINT GENERATED ALWAYS AS (c + 1) STORED) WITH (connector = 'file', path = 'x', format = 'csv')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', path = 'y', format = 'json')
---
CREATE SOURCE s (a BIGINT) WITH (connector = file, path = 'x', format = 'json')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'kafka', path = 'x', format = 'json')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'json', late = 'keep')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'json', allowed_lateness = '5 seconds')
---
CREATE SOURCE s (a BIGINT, WATERMARK FOR a) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (ts TIMESTAMP, WATERMARK FOR t) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (ts TIMESTAMP, WATERMARK FOR ts AS ts - 5) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (ts TIMESTAMP, WATERMARK FOR ts AS ts + INTERVAL '5' SECOND) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '1' MONTH) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '-5' SECOND) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (ts TIMESTAMP, WATERMARK FOR ts AS now()) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (a TIMESTAMP, b TIMESTAMP, WATERMARK FOR a, WATERMARK FOR b) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (ts TIMESTAMPTZ) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (a DECIMAL(60)) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (a STRUCT<b BIGINT, b DATE>) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (a BIGINT DEFAULT 5) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (_offset BIGINT) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (a BIGINT, PRIMARY KEY (b)) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE TABLE s (a BIGINT PRIMARY KEY, PRIMARY KEY (a))
---
CREATE TABLE s (a BIGINT, PRIMARY KEY (a)) APPEND ONLY
---
CREATE TABLE s (ts TIMESTAMP(3), WATERMARK FOR ts)
---
CREATE TABLE s AS SELECT * FROM trades
---
CREATE TABLE s (a BIGINT, FOREIGN KEY (a) REFERENCES trades (trade_id))
---
CREATE TEMPORARY TABLE s (a BIGINT)
---
CREATE SOURCE s () WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (a BIGINT b BIGINT) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE SOURCE s (a BIGINT, day DATE GENERATED ALWAYS AS (CAST(tss AS DATE)) STORED) WITH (connector = 'file', path = 'x', format = 'json')
---
CREATE VIEW v AS SELECT symbl FROM trades
---
CREATE VIEW v AS SELECT symbol, symbol FROM trades
---
CREATE VIEW v (a, b) AS SELECT symbol FROM trades
---
CREATE VIEW big AS SELECT symbol FROM trades
---
CREATE OR REPLACE VIEW big AS SELECT symbol FROM trades
---
CREATE VIEW v AS SELECT symbol FROM trades EMIT CHANGES
---
CREATE VIEW v AS SELECT symbol FROM trades ORDER BY symbol
---
CREATE VIEW v
---
CREATE MATERIALIZED VIEW v AS SELECT symbol, COUNT(*) AS n FROM trades GROUP BY symbol
---
CREATE MATERIALIZED VEIW v AS SELECT 1
---
CREATE INDEX i ON trades (symbol)
---
CREATE INDEX i ON notes (txt)
---
CREATE SINK s WITH (connector = 'file', path = 'x') AS SELECT symbol FROM trades
---
CREATE SINK s FROM trads WITH (connector = 'print')
---
CREATE SINK s (a BIGINT) WITH (connector = 'print') AS SELECT symbol, price FROM trades
---
CREATE SINK s WITH (connector = 'generator')
---
CREATE FUNCTION f AS 'x'
---
DROP SOURCE trads
---
DROP TABLE trades
---
DROP SOURCE trades
---
DROP VIEW big
---
DROP DATABASE x
---
CREATE VIEW x AS WITH t AS (SELECT symbol FROM quotes) SELECT t.symbol FROM t JOIN trades ON t.symbol = trades.symbol;
ALTER SOURCE trades RENAME TO t
---
ALTER TABLE notes RENAME TO customers
---
ALTER TABLE notes ADD COLUMN x BIGINT
---
INSERT INTO trades VALUES (1)
---
INSERT INTO big VALUES (1)
---
INSERT INTO notes VALUES (1)
---
INSERT INTO notes (id, txt) VALUES (1, 'a')
---
INSERT INTO notes (id, id) VALUES (1, 2)
---
INSERT INTO notes SELECT trade_id FROM trades
---
INSERT INTO notes VALUES (1, 'a')
---
INSERT INTO notes VALUES (1, 'a') ON CONFLICT DO NOTHING
---
CREATE SINK q (n BIGINT) WITH (connector = 'file', path = 'q', format = 'json') AS SELECT price FROM trades
---
CREATE SINK q (n BIGINT NOT NULL) WITH (connector = 'print') AS SELECT trade_id FROM trades
---
CREATE SINK q WITH (connector = 'kafka', topic = 't', bootstrap_servers = 'b:9092', format = 'json') AS SELECT symbol FROM trades
---
CREATE SINK q WITH (connector = 'file', path = 'q', format = 'avro') AS SELECT symbol FROM trades
---
CREATE SINK q WITH (connector = 'stdout', mode = 'upsert') AS SELECT symbol FROM trades
---
CREATE SINK q WITH (connector = 'stdout') AS SELECT symbol FROM trades; INSERT INTO q SELECT price FROM trades
---
UPDATE notes SET txt = 'a'
---
UPDATE trades SET price = 1
---
DELETE FROM notes WHERE idd = 1
---
DELETE FROM big
---
SUBSCRIBE trades
---
SUBSCRIBE big WHERE total > 1
---
CREATE SOURCE endless (n BIGINT) WITH (connector = 'generator');
EXPLAIN ANALYZE SELECT n FROM endless
---
FLUSH
---
CHECKPOINT
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'kafka', topic = 's', bootstrap_servers = 'localhost:kafka',
    format = 'json');
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'kafka', topic = 's', start = 'first',
    bootstrap_servers = 'localhost:9092', format = 'json');
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'nexmark', table = 'bids');
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'tcp', address = '9000', format = 'json');
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'tcp', address = 'h:9000', topic = 's', format = 'json');
---
CREATE SINK s WITH (connector = 'kafka', topic = '', bootstrap_servers = 'h:1', format = 'json')
    AS SELECT symbol FROM trades;
---
CREATE SINK s WITH (connector = 'kafka', topic = 's', bootstrap_servers = 'h:1', format = 'json')
    AS SELECT symbol FROM trades;
---
SELECT symbol FROM trades;
INSERT INTO out SELECT symbol,
    price FROM trades;
---
INSERT INTO out (n, symbol) SELECT volume, volume FROM trades;
---
CREATE TABLE x (a BIGINT) WITH (connector = 'file', path = 'x', format = 'json', type = 'both')
---
CREATE TABLE x (a BIGINT PRIMARY KEY) WITH (connector = 'file', path = 'x', format = 'json', type = 'sink')
---
CREATE TABLE x (a TIMESTAMP, WATERMARK FOR a) WITH (connector = 'file', path = 'x', format = 'json', type = 'sink')
---
ALTER TABLE notes RENAME COLUMN text TO body
---
CREATE INDEX i ON notes USING btree (text)
