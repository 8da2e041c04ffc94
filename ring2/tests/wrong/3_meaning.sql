SELECT symbol, COUNT(*) FROM trades
---
SELECT symbol, price, COUNT(*) FROM trades GROUP BY symbol
---
SELECT symbol FROM trades GROUP BY symbol HAVING price > 1
---
SELECT symbol FROM trades GROUP BY symbol ORDER BY price
---
SELECT symbol FROM trades WHERE COUNT(*) > 1
---
SELECT SUM(COUNT(*)) FROM trades
---
SELECT symbol FROM trades GROUP BY SUM(price)
---
SELECT symbol FROM trades HAVING symbol = 'A'
---
SELECT * FROM trades GROUP BY symbol
---
SELECT symbol FROM trades WHERE RANK() OVER (ORDER BY price) < 3
---
SELECT RANK() FROM trades
---
SELECT RANK() OVER () FROM trades
---
SELECT UPPER(symbol) OVER () FROM trades
---
SELECT UPPER(symbol) FILTER (WHERE price > 1) FROM trades
---
SELECT UPPER(DISTINCT symbol) FROM trades
---
SELECT SUM(*) FROM trades
---
SELECT COUNT() FROM trades
---
SELECT COUNT(DISTINCT *) FROM trades
---
SELECT SUM(price, volume) FROM trades
---
SELECT UPPER() FROM trades
---
SELECT SPLIT_PART(symbol, '.') FROM trades
---
SELECT symbol FROM trades QUALIFY price > 1
---
SELECT SUM(price) IGNORE NULLS FROM trades
---
SELECT SUM(price) WITHIN GROUP (ORDER BY price) FROM trades
---
SELECT symbol FROM trades WHERE price = 'high'
---
SELECT symbol FROM trades WHERE symbol = 5
---
SELECT symbol FROM trades WHERE symbol = TRUE
---
SELECT symbol FROM trades WHERE event_time > TIMESTAMP 'yesterday'
---
SELECT symbol FROM trades WHERE CAST(event_time AS DATE) = DATE '2025-13-01'
---
SELECT symbol + 1 FROM trades
---
SELECT UPPER(price) FROM trades
---
SELECT symbol FROM trades WHERE price
---
SELECT symbol FROM trades WHERE NOT symbol
---
SELECT SUM(symbol) FROM trades
---
SELECT CASE WHEN price > 1 THEN DATE '2025-01-01' ELSE TRUE END FROM trades
---
SELECT CAST(price AS BIGNT) FROM trades
---
SELECT CAST(event_time AS TIMESTAMP WITH TIME ZONE) FROM trades
---
SELECT symbol FROM trades WHERE price > (SELECT bid, symbol FROM quotes)
---
SELECT symbol FROM trades UNION SELECT symbol, bid FROM quotes
---
SELECT * FROM (VALUES (1, 2), (3)) AS v(a, b)
---
SELECT symbol FROM trades LIMIT -1
---
SELECT symbol FROM trades LIMIT price
---
SELECT u FROM trades CROSS JOIN UNNEST(symbol) AS u
---
SELECT * 
---
SELECT price FROM trades WHERE event_time > event_time - INTERVAL '5' MINUTS
---
SELECT price FROM trades WHERE event_time > event_time - INTERVAL '5 minuts'
---
SELECT price FROM trades WHERE event_time > event_time - INTERVAL 'soon'
---
SELECT price FROM trades WHERE event_time > event_time - INTERVAL '5'
---
SELECT price FROM trades WHERE event_time > event_time - INTERVAL '1:30' HOUR TO MINUTE
---
SELECT symbol FROM trades GROUP BY GROUPING SETS ((symbol), (prise))
---
SELECT GROUPING(symbol) OVER () AS g FROM trades
---
SELECT symbol, GROUPING(symbol) OVER (ORDER BY symbol) AS g FROM trades GROUP BY ROLLUP (symbol)
