-- Where events go, what is sent there, and what a target did not take.
CREATE TABLE event_targets (
  name TEXT PRIMARY KEY,
  -- As declared, in canonical JSON; secrets are references.
  config TEXT NOT NULL,
  policy TEXT NOT NULL,
  -- A JSON array of globs: subscriptions of these spaces may use it.
  spaces TEXT NOT NULL,
  caller TEXT NOT NULL,
  seq INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE subscriptions (
  -- Its space, a slash and a name.
  id TEXT PRIMARY KEY,
  space TEXT NOT NULL,
  -- A row of event_targets, or ''; then `config` is a target within the fleet.
  target TEXT NOT NULL,
  config TEXT NOT NULL,
  rules TEXT NOT NULL,
  -- The owner: it acts with the rights of this caller.
  caller TEXT NOT NULL,
  -- 'active' or 'paused', and why.
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  -- Every event up to this offset is done with.
  cursor INTEGER NOT NULL,
  -- Events that retention removed before they were sent.
  missed INTEGER NOT NULL,
  -- The change that made it what it is.
  seq INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriptions_by_target ON subscriptions (target);
CREATE INDEX subscriptions_by_caller ON subscriptions (caller);

-- The event that a target does not take now.
CREATE TABLE subscription_failing (
  subscription TEXT PRIMARY KEY,
  offset INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  -- In ms, by the clock of the leader.
  next_at INTEGER NOT NULL,
  status INTEGER NOT NULL,
  detail TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
  subscription TEXT NOT NULL,
  offset INTEGER NOT NULL,
  -- 0, or 1 while it is sent again.
  again INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  status INTEGER NOT NULL,
  detail TEXT NOT NULL,
  at INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  -- The row of the event in JSON: retention removes the event itself.
  event TEXT NOT NULL,
  PRIMARY KEY (subscription, offset)
) STRICT, WITHOUT ROWID;
CREATE INDEX dead_letters_again ON dead_letters (subscription, offset) WHERE again = 1;
