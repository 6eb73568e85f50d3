-- The agent as which the caller acted (operation/agents.ts); '' for none, and for changes below that fleet level.
ALTER TABLE changes ADD COLUMN agent TEXT NOT NULL DEFAULT '';
