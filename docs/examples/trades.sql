-- One hour of trades: what each symbol with more than 100 of them did, and how one of them moved
-- in every five minutes.
CREATE SOURCE trades (
    trade_id BIGINT NOT NULL,
    symbol VARCHAR,
    price DOUBLE,
    volume BIGINT,
    event_time TIMESTAMP(3) NOT NULL,
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (connector = 'file', path = '../../harness/tests/fr082/data/trades.ndjson', format = 'json');

SELECT
    symbol,
    COUNT(*) AS trades,
    SUM(volume) AS volume,
    MIN(price) AS low,
    MAX(price) AS high,
    SUM(price * volume) AS turnover
FROM trades
WHERE symbol IS NOT NULL
GROUP BY symbol
HAVING COUNT(*) > 100;

SELECT
    TUMBLE(event_time, INTERVAL '5' MINUTE) AS five_minutes,
    COUNT(*) AS trades,
    AVG(price) AS mean_price,
    STDDEV(price) AS spread
FROM trades
WHERE symbol = 'AAPL'
GROUP BY TUMBLE(event_time, INTERVAL '5' MINUTE);
