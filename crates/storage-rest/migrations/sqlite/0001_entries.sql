-- One row an entry. The digest is that of body, model card key and model card; an index needs no content, so the
-- columns that hold content come last, where reading the others does not touch their pages.
CREATE TABLE entries (
    entry_key       TEXT NOT NULL PRIMARY KEY,
    digest          TEXT NOT NULL,
    reconciler_type TEXT NOT NULL,
    last_update     TEXT NOT NULL,
    -- What the normalizer made the entry from, as JSON; NULL where it did not say.
    origin          TEXT,
    -- Backstage's location of the entry; both or none.
    location_id     TEXT,
    location_target TEXT,
    model_card_key  TEXT NOT NULL,
    body            BLOB NOT NULL,
    model_card      TEXT NOT NULL
);
