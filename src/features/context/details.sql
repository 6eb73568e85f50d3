-- What a version says beside title and tags: when it expires (ms of log time; 0: never), a JSON object as text in one
-- form ('' for none), and which contexts it supersedes, framed like tags.
ALTER TABLE contexts ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contexts ADD COLUMN metadata TEXT NOT NULL DEFAULT '';
ALTER TABLE contexts ADD COLUMN supersedes TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN metadata TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN supersedes TEXT NOT NULL DEFAULT '';
-- What expire.ts has to remove.
CREATE INDEX contexts_by_expiry ON contexts (expires_at) WHERE expires_at > 0 AND deleted = 0;

-- The contexts that the newest versions of others supersede (supersede.ts).
CREATE TABLE superseded (
  id TEXT NOT NULL,
  successor TEXT NOT NULL,
  PRIMARY KEY (id, successor)
) STRICT, WITHOUT ROWID;
