-- A subscription that repeats a range: it ends at the event of this offset (0: it goes on), and sends at most so many
-- events a second (0: as many as its target takes).
ALTER TABLE subscriptions ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN rate INTEGER NOT NULL DEFAULT 0;
