-- What the client of the author said of itself; '' where it said nothing, and for versions from below that fleet level.
ALTER TABLE versions ADD COLUMN client TEXT NOT NULL DEFAULT '';
