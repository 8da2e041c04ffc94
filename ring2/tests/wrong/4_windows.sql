SELECT COUNT(*) FROM trades GROUP BY TUMBLE(event_time)
---
SELECT COUNT(*) FROM trades GROUP BY TUMBLE(event_time, 5)
---
SELECT COUNT(*) FROM trades GROUP BY TUMBLE(event_time, INTERVAL '1' MONTH)
---
SELECT COUNT(*) FROM trades GROUP BY TUMBLE(event_time, INTERVAL '0' SECOND)
---
SELECT COUNT(*) FROM trades GROUP BY TUMBLE(symbol, INTERVAL '5' MINUTE)
---
SELECT COUNT(*) FROM trades GROUP BY TUMBLE(event_tme, INTERVAL '5' MINUTE)
---
SELECT COUNT(*) FROM trades GROUP BY TUMBEL(event_time, INTERVAL '5' MINUTE)
---
SELECT COUNT(*) FROM trades GROUP BY HOP(event_time, INTERVAL '10' MINUTE, INTERVAL '1' MINUTE)
---
SELECT COUNT(*) FROM trades GROUP BY SLIDING(event_time, INTERVAL '1' MINUTE, INTERVAL '10' MINUTE)
---
SELECT COUNT(*) FROM trades GROUP BY HOP(event_time, INTERVAL '10' MINUTE)
---
SELECT COUNT(*) FROM trades GROUP BY CUMULATE(event_time, INTERVAL '7' MINUTE, INTERVAL '1' HOUR)
---
SELECT COUNT(*) FROM trades GROUP BY SESSION(event_time, INTERVAL '1' HOUR, INTERVAL '1' HOUR)
---
SELECT COUNT(*) FROM untimed GROUP BY TUMBLE(INTERVAL '1' HOUR)
---
SELECT TUMBLE_START(event_time, INTERVAL '1' HOUR) FROM trades
---
SELECT TUMBLE(event_time, INTERVAL '1' HOUR) FROM trades
---
SELECT TUMBLE_START(event_time, INTERVAL '1' HOUR), COUNT(*) FROM trades GROUP BY TUMBLE(event_time, INTERVAL '1' MINUTE)
---
SELECT window_start FROM trades
---
SELECT symbol, COUNT(*) FROM trades GROUP BY symbol, window_start
---
SELECT * FROM TUMBLE(trades, event_time)
---
SELECT * FROM TABLE(TUMBLE(TABLE trads, DESCRIPTOR(event_time), INTERVAL '5' MINUTE))
---
SELECT * FROM TABLE(TUMBLE(data => TABLE trades, timecol => DESCRIPTOR(event_time), length => INTERVAL '5' MINUTE))
---
SELECT * FROM SESSION(trades, event_time, INTERVAL '5' MINUTE)
---
SELECT k, COUNT(*) FROM feed GROUP BY k EMIT ON WINDOW CLOSE
---
SELECT k, COUNT(*) FROM untimed GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE) EMIT ON WINDOW CLOSE
---
SELECT k FROM feed EMIT FINAL
---
SELECT k FROM feed ORDER BY k
---
SELECT COUNT(*), CURRENT_DATE FROM feed
---
SELECT k FROM feed CROSS JOIN untimed
---
SELECT COUNT(*) FROM trades GROUP BY TUMBLE(event_time, INTERVAL '5' MINUTE) OVER ()
---
SELECT COUNT(*) FROM trades GROUP BY TUMBLE(event_time, INTERVAL '5' MINUTE), TUMBLE(event_time, INTERVAL '1' MINUTE)
---
SELECT COUNT(*) FROM trades GROUP BY TUMBLE(event_time + INTERVAL '1' SECOND, INTERVAL '5' MINUTE)
---
SELECT symbol, COUNT(*) FROM TABLE(SESSION(TABLE trades PARTITION BY symbol, DESCRIPTOR(event_time), INTERVAL '5' MINUTE)) GROUP BY symbol, window_start, window_end
---
SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE trades PARTITION BY symbol, DESCRIPTOR(event_time), INTERVAL '5' MINUTE)) GROUP BY window_start
---
SELECT k FROM feed LIMIT 10
---
SELECT COUNT(*) FROM HOP(trades, event_time, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE) WHERE window_end > TIMESTAMP '2024-01-01' GROUP BY window_start
---
CREATE SOURCE live (k BIGINT, ts TIMESTAMP, WATERMARK FOR ts) WITH (connector = 'generator');
CREATE TABLE names (k BIGINT, name VARCHAR) WITH (connector = 'file', path = 'names.csv', format = 'csv');
SELECT name, COUNT(*) FROM live JOIN names ON live.k = names.k
GROUP BY name, HOP(live.ts, INTERVAL '1' SECOND, INTERVAL '2' SECOND)
---
CREATE SOURCE live (k BIGINT, ts TIMESTAMP, WATERMARK FOR ts) WITH (connector = 'generator');
CREATE TABLE names (k BIGINT, name VARCHAR) WITH (connector = 'file', path = 'names.csv', format = 'csv');
SELECT name, COUNT(*) FROM live JOIN names ON live.k = names.k
GROUP BY name, SESSION(live.ts, INTERVAL '1' SECOND)
