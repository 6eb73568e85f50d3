-- Jobs, from their start until they are forgotten. Times are log times in ms. Long texts come last, so that lists do
-- not read them.
CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  -- The number of the job: that of its epoch, and the seq of its start.
  n INTEGER NOT NULL,
  number INTEGER NOT NULL,
  space TEXT NOT NULL,
  action TEXT NOT NULL,
  state TEXT NOT NULL,
  -- Where it is: 0 waits for its time, 1 is ready, 2 waits for another one with its key, 3 has a worker, 4 has ended.
  place INTEGER NOT NULL,
  -- Who runs it: member (the words of its action) or caller (whoever claims it).
  runs TEXT NOT NULL,
  priority INTEGER NOT NULL,
  -- "": none.
  concurrency_key TEXT NOT NULL,
  run_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  backoff_ms INTEGER NOT NULL,
  timeout_ms INTEGER NOT NULL,
  ttl_ms INTEGER NOT NULL,
  keep_ms INTEGER NOT NULL,
  caller TEXT NOT NULL,
  agent TEXT NOT NULL,
  -- The schedule that started it, or rule/ and the rule that did; "": none.
  schedule TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- Since when it is in its state.
  changed_at INTEGER NOT NULL,
  -- The caller that has it, or the member id of the node; "": none. What it had last stays.
  worker TEXT NOT NULL,
  worker_agent TEXT NOT NULL,
  -- The process of the node that may begin this attempt; "": it is no member's.
  boot TEXT NOT NULL,
  -- Seq of the claim, with n the fence; 0: no worker has it.
  claim_n INTEGER NOT NULL,
  claim_seq INTEGER NOT NULL,
  -- 1: its worker is asked to stop.
  cancel INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  -- What it counts for in quotas.
  bytes INTEGER NOT NULL,
  -- The change that made the row as it is.
  seq INTEGER NOT NULL,
  output_bytes INTEGER NOT NULL,
  -- The blob with the whole output; "": none.
  output_sha256 TEXT NOT NULL,
  error TEXT NOT NULL,
  input TEXT NOT NULL,
  checkpoint TEXT NOT NULL,
  result TEXT NOT NULL,
  output TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_by_state ON jobs (space, state, n, number);
CREATE INDEX jobs_by_action ON jobs (space, action, state, n, number);
CREATE INDEX jobs_ready ON jobs (runs, space, action, priority DESC, run_at, n, number) WHERE place = 1;
CREATE INDEX jobs_delayed ON jobs (run_at, n, number) WHERE place = 0;
CREATE INDEX jobs_keyed ON jobs (space, concurrency_key, place, priority DESC, run_at, n, number)
  WHERE concurrency_key <> '';
CREATE INDEX jobs_active ON jobs (n, number) WHERE place = 3;
CREATE INDEX jobs_ended ON jobs (expires_at, n, number) WHERE place = 4;

-- Jobs and their bytes: open ones by caller and in all, and those that have ended in all.
CREATE TABLE job_usage (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  jobs INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- The last instant of each schedule that was fired or skipped.
CREATE TABLE job_schedules (
  name TEXT PRIMARY KEY,
  last_at INTEGER NOT NULL,
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The last firing of each rule: its number, and when that was.
CREATE TABLE job_rules (
  name TEXT PRIMARY KEY,
  firing INTEGER NOT NULL,
  fired_at INTEGER NOT NULL,
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
