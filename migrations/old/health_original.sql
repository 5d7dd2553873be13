-- The original's spelling. Its other columns (percentiles, samples, thresholds) stay as they are.
ALTER TABLE extension_health RENAME COLUMN half_open_requests_count TO half_open_request_count;
