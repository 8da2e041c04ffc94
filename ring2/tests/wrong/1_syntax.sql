SELEC symbol FROM trades
---
SELECT symbol FORM trades
---
SELECT symbol FROM trades WERE price > 1
---
SELECT symbol FROM trades WHERE
---
SELECT symbol FROM trades WHERE GROUP BY symbol
---
SELECT symbol, FROM trades
---
SELECT symbol price volume FROM trades
---
SELECT COUNT(*) FROM trades GRUOP BY symbol
---
SELECT symbol FROM trades GROUP symbol
---
SELECT symbol FROM trades ORDR BY symbol
---
SELECT (price + 1 FROM trades
---
SELECT price + 1) FROM trades
---
SELECT tags[1) FROM trades
---
SELECT 'abc FROM trades
---
SELECT "abc FROM trades
---
SELECT 1 /* no end FROM trades
---
SELECT price FROM trades WHERE price == 1
---
SELECT * FROM trades LIMIT 5 WHERE price > 1
---
SELECT * FROM trades WHERE price > 1 WHERE volume > 1
---
SELECT symbol, COUNT(*) FROM trades HAVING COUNT(*) > 1 GROUP BY symbol
---
SELECT symbol FROM trades EMIT CHANGE
---
SELECT symbol FROM trades EMIT
---
SELECT symbol FROM trades EMIT ON WINDOW
---
SELECT symbol FROM trades EMIT EVERY 5
---
SELECT symbol FROM trades EMIT EVERY INTERVAL '0' SECOND
---
SELECT symbol EMIT CHANGES FROM trades
---
SELECT symbol FROM trades EMIT CHANGES LIMIT 5
---
SELECT * FROM (SELECT symbol FROM trades EMIT CHANGES) t
---
SELECT CASE WHEN price > 1 THEN 2 FROM trades
---
SELECT CASE price END FROM trades
---
SELECT price FROM trades t JOIN customers AS c FOR SYSTEM_TIME AS OF t.event_time ON true
---
SELECT CAST(price AS ) FROM trades
---
SELECT CAST(price BIGINT) FROM trades
---
SELECT price BETWEEN 1 FROM trades
---
SELECT price IN () FROM trades
---
SELECT FROM trades
---
UPSERT INTO notes VALUES (1, 'a')
---
MERGE INTO notes USING trades ON true WHEN MATCHED THEN DELETE
---
BEGIN
---
COPY trades FROM 'x.csv'
---
SHO SOURCES
---
DESCRIBE
---
TRUNCATE notes
---
EXPLAIN (FORMAT yaml) SELECT 1 FROM trades
---
FETCH all FROM c
---
DECLARE c CURSOR FOR SELECT 1
---
SET read
---
SELECT symbol FROM main.trades
---
SELECT price FROM `trades`
---
SELECT price FROM trades;;; SELECT volume FORM trades
---
CREATE FUNCTION f (a BIGINT) RETURNS BIGINT LANGUAGE sql AS 'a + 1';
---
DROP FUNCTION f
---
DROP FUNCTION f(BIGINT)
---
FETCH FORWARD 5 FROM c
---
SELECT UPPER(TABLE trades) FROM trades
