-- Blobs by space and SHA-256 (times in ms of log time), the full members that hold their bytes, and bytes by caller and
-- by space. The bytes themselves are files (blob-folder.ts).
CREATE TABLE blobs (
  space TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  content_type TEXT NOT NULL,
  copies INTEGER NOT NULL,
  author TEXT NOT NULL,
  agent TEXT NOT NULL,
  seq INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  keep_ms INTEGER NOT NULL,
  check_at INTEGER NOT NULL,
  PRIMARY KEY (space, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_by_check ON blobs (check_at);
CREATE INDEX blobs_by_hash ON blobs (sha256);
CREATE TABLE blob_holders (
  sha256 TEXT NOT NULL,
  member TEXT NOT NULL,
  PRIMARY KEY (sha256, member)
) STRICT, WITHOUT ROWID;
CREATE TABLE blob_usage (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
