-- Who may read: a visibility (operation/visibility.ts), the caller and the agent who decided it ('' of a public one)
-- with the type of the agent where a grant lists it, and recipients, framed like tags.
ALTER TABLE contexts ADD COLUMN visibility TEXT NOT NULL DEFAULT 'public';
ALTER TABLE contexts ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE contexts ADD COLUMN owner_agent TEXT NOT NULL DEFAULT '';
ALTER TABLE contexts ADD COLUMN owner_type TEXT NOT NULL DEFAULT '';
ALTER TABLE contexts ADD COLUMN recipients TEXT NOT NULL DEFAULT '';
-- The newest version that has other readers than the newest one; 0: none. What is between them has the same readers.
ALTER TABLE contexts ADD COLUMN hidden_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN visibility TEXT NOT NULL DEFAULT 'public';
ALTER TABLE versions ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN owner_agent TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN owner_type TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN recipients TEXT NOT NULL DEFAULT '';
