-- The content that Backstage was last told to read at the location; NULL where nobody knows.
ALTER TABLE entries ADD COLUMN location_digest TEXT;
