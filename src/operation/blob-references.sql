-- Blobs that contexts refer to (blob-references.ts; public: all readers of the space may read the context), and since
-- when a blob has been seen without any (ms of log time).
CREATE TABLE blob_references (
  id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  space TEXT NOT NULL,
  public INTEGER NOT NULL,
  PRIMARY KEY (id, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_references_by_blob ON blob_references (space, sha256);
CREATE TABLE blobs_free (
  space TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY (space, sha256)
) STRICT, WITHOUT ROWID;
