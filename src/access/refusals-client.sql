-- What the client of the last of these calls said of itself; no part of the key, so that a claim makes no further rows.
ALTER TABLE refusals ADD COLUMN client TEXT NOT NULL DEFAULT '';
