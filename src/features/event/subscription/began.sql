-- The change that said where it begins. What is sent again because that was asked is not the repetition of an attempt.
ALTER TABLE subscriptions ADD COLUMN began INTEGER NOT NULL DEFAULT 0;
