-- One row an entry, as in SQLite. Keys are ordered by their bytes, whatever the database's language is. Texts that come
-- from registries are bytes, because TEXT cannot hold all of them (U+0000).
CREATE TABLE entries (
    entry_key       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest          TEXT NOT NULL,
    reconciler_type TEXT NOT NULL,
    last_update     BYTEA NOT NULL,
    -- What the normalizer made the entry from, as JSON; NULL where it did not say.
    origin          TEXT,
    -- Backstage's location of the entry; both or none.
    location_id     TEXT,
    location_target TEXT,
    -- The content that Backstage was last told to read there; NULL where nobody knows.
    location_digest TEXT,
    model_card_key  BYTEA NOT NULL,
    body            BYTEA NOT NULL,
    model_card      BYTEA NOT NULL
);

-- Has a row while the database, which began empty, is being filled and was told no key set yet.
CREATE TABLE filling (
    mark INTEGER NOT NULL PRIMARY KEY CHECK (mark = 1)
);
