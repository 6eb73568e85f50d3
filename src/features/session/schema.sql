-- Sessions, the messages in them with every version of their text, and who takes part.
CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  space TEXT NOT NULL,
  purpose TEXT NOT NULL,
  -- A JSON object in canonical form, or ''.
  metadata TEXT NOT NULL,
  caller TEXT NOT NULL,
  agent TEXT NOT NULL,
  -- The change that created it, and log times in ms.
  seq INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  -- Who closed or reopened it last; '' and 0 before.
  state_caller TEXT NOT NULL,
  state_agent TEXT NOT NULL,
  state_at INTEGER NOT NULL,
  -- Public messages, and the others: a count of the first may be shown to whoever reads the session.
  public_count INTEGER NOT NULL,
  public_at INTEGER NOT NULL,
  hidden_count INTEGER NOT NULL,
  -- The newest change that whoever reads the session may know of: the order of lists.
  active_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sessions_by_activity ON sessions (active_seq);

-- Whoever joined a session or wrote in it.
CREATE TABLE session_members (
  session TEXT NOT NULL,
  caller TEXT NOT NULL,
  -- '': the caller itself.
  agent TEXT NOT NULL,
  -- 1: it created or joined the session. 0: it is known by its messages alone.
  joined INTEGER NOT NULL,
  public_count INTEGER NOT NULL,
  public_at INTEGER NOT NULL,
  hidden_count INTEGER NOT NULL,
  PRIMARY KEY (session, caller, agent)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_members_by_caller ON session_members (caller, agent, session);

CREATE TABLE messages (
  -- The change that posted it, which is its place among all messages.
  seq INTEGER PRIMARY KEY,
  session TEXT NOT NULL,
  id TEXT NOT NULL,
  -- The message that it is a reply to, or 0, and how many are above that.
  parent INTEGER NOT NULL,
  depth INTEGER NOT NULL,
  kind TEXT NOT NULL,
  visibility TEXT NOT NULL,
  caller TEXT NOT NULL,
  agent TEXT NOT NULL,
  -- The type of the agent where a grant lists it, or ''.
  type TEXT NOT NULL,
  -- Names, folded and framed ("\na\nb\n"): to whom it is addressed, and who is mentioned in its text or beside it.
  recipients TEXT NOT NULL,
  mentions TEXT NOT NULL,
  wants_ack INTEGER NOT NULL,
  via TEXT NOT NULL,
  client TEXT NOT NULL,
  posted_at INTEGER NOT NULL,
  version INTEGER NOT NULL,
  edited_at INTEGER NOT NULL,
  -- '', or how its text was removed: 'retracted' or 'purged'.
  removed TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_by_id ON messages (session, id);
CREATE INDEX messages_in_session ON messages (session, seq);
CREATE INDEX messages_hidden ON messages (session, seq) WHERE visibility <> 'public';
CREATE INDEX messages_for_all ON messages (session, seq) WHERE wants_ack = 1 AND recipients = '' AND mentions = '';

CREATE TABLE message_versions (
  message INTEGER NOT NULL,
  version INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  -- Hex SHA-256 of the text, which stays when the text is removed.
  hash TEXT NOT NULL,
  text TEXT NOT NULL,
  metadata TEXT NOT NULL,
  PRIMARY KEY (message, version)
) STRICT;

-- The changes of a message after the one that posted it: which message a change is about decides who may know of it.
CREATE TABLE message_changes (
  seq INTEGER PRIMARY KEY,
  message INTEGER NOT NULL,
  session TEXT NOT NULL,
  event TEXT NOT NULL,
  caller TEXT NOT NULL,
  agent TEXT NOT NULL
) STRICT;
CREATE INDEX message_changes_in_session ON message_changes (session, seq);

-- Whom a message names, with the change that did so, for their inbox.
CREATE TABLE message_names (
  name TEXT NOT NULL,
  seq INTEGER NOT NULL,
  message INTEGER NOT NULL,
  PRIMARY KEY (name, seq, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_names_by_message ON message_names (message);

CREATE TABLE message_acks (
  message INTEGER NOT NULL,
  caller TEXT NOT NULL,
  agent TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (message, caller, agent)
) STRICT, WITHOUT ROWID;
