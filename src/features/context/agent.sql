-- The agent as which the author acted; '' for none, and for versions from below that fleet level.
ALTER TABLE versions ADD COLUMN agent TEXT NOT NULL DEFAULT '';
