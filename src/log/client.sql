-- What the client of the caller said of itself (lib/client-claim.ts); '' where it said nothing, and for changes below
-- that fleet level.
ALTER TABLE changes ADD COLUMN client TEXT NOT NULL DEFAULT '';
