-- What else the change made, such as title and tags (state-hash.ts); '' for changes below that fleet level.
ALTER TABLE changes ADD COLUMN state_hash TEXT NOT NULL DEFAULT '';
