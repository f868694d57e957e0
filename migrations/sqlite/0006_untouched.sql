-- Since when messages waited in the queue and nobody was there to take one, in every reading up to this; NULL: not so.
ALTER TABLE samples ADD COLUMN untouched_since INTEGER;
