-- The agent as which the author of the newest version acted, as that version has it: lists show it without the version.
ALTER TABLE contexts ADD COLUMN agent TEXT NOT NULL DEFAULT '';
