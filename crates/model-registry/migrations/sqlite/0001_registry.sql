-- The tree of resources: what all kinds have in common. Its root, 0, is the parent of what belongs to nothing, so that a
-- name is unique there, too.
CREATE TABLE resource (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    scope TEXT NOT NULL,
    parent_id INTEGER NOT NULL REFERENCES resource (id),
    name TEXT NOT NULL,
    external_id TEXT,
    description TEXT,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX resource_by_name ON resource (kind, parent_id, name);
CREATE UNIQUE INDEX resource_by_external_id ON resource (scope, external_id);
CREATE INDEX resource_in_order_of_id ON resource (kind, id);
CREATE INDEX resource_of_parent_in_order_of_id ON resource (parent_id, kind, id);
CREATE INDEX resource_in_order_of_created ON resource (kind, created, id);
CREATE INDEX resource_of_parent_in_order_of_created ON resource (parent_id, kind, created, id);
CREATE INDEX resource_in_order_of_updated ON resource (kind, updated, id);
CREATE INDEX resource_of_parent_in_order_of_updated ON resource (parent_id, kind, updated, id);
INSERT INTO resource (id, kind, scope, parent_id, name, created, updated) VALUES (0, 'Root', 'root', 0, '', 0, 0);

-- The fields of each kind.
CREATE TABLE registered_model (
    id INTEGER NOT NULL PRIMARY KEY REFERENCES resource (id),
    readme TEXT,
    maturity TEXT,
    language TEXT,
    tasks TEXT,
    provider TEXT,
    logo TEXT,
    license TEXT,
    license_link TEXT,
    library_name TEXT,
    owner TEXT,
    state TEXT NOT NULL
) STRICT;
CREATE TABLE model_version (
    id INTEGER NOT NULL PRIMARY KEY REFERENCES resource (id),
    author TEXT,
    state TEXT NOT NULL
) STRICT;
CREATE TABLE artifact (
    id INTEGER NOT NULL PRIMARY KEY REFERENCES resource (id),
    uri TEXT,
    state TEXT NOT NULL,
    model_format_name TEXT,
    model_format_version TEXT,
    storage_key TEXT,
    storage_path TEXT,
    service_account_name TEXT,
    model_source_kind TEXT,
    model_source_class TEXT,
    model_source_group TEXT,
    model_source_id TEXT,
    model_source_name TEXT,
    digest TEXT,
    source_type TEXT,
    source TEXT,
    data_schema TEXT,
    profile TEXT,
    metric_value REAL,
    metric_timestamp INTEGER,
    metric_step INTEGER,
    parameter_value TEXT,
    parameter_type TEXT
) STRICT;
CREATE TABLE serving_environment (
    id INTEGER NOT NULL PRIMARY KEY REFERENCES resource (id)
) STRICT;
CREATE TABLE inference_service (
    id INTEGER NOT NULL PRIMARY KEY REFERENCES resource (id),
    registered_model_id INTEGER NOT NULL REFERENCES resource (id),
    model_version_id INTEGER REFERENCES resource (id),
    runtime TEXT,
    desired_state TEXT NOT NULL
) STRICT;
CREATE TABLE serve_model (
    id INTEGER NOT NULL PRIMARY KEY REFERENCES resource (id),
    model_version_id INTEGER NOT NULL REFERENCES resource (id),
    last_known_state TEXT NOT NULL
) STRICT;
CREATE TABLE experiment (
    id INTEGER NOT NULL PRIMARY KEY REFERENCES resource (id),
    owner TEXT,
    state TEXT NOT NULL
) STRICT;
CREATE TABLE experiment_run (
    id INTEGER NOT NULL PRIMARY KEY REFERENCES resource (id),
    start_time INTEGER,
    end_time INTEGER,
    status TEXT NOT NULL,
    owner TEXT,
    state TEXT NOT NULL
) STRICT;
CREATE INDEX inference_service_by_registered_model_id ON inference_service (registered_model_id);
CREATE INDEX inference_service_by_model_version_id ON inference_service (model_version_id);
CREATE INDEX serve_model_by_model_version_id ON serve_model (model_version_id);

-- Which versions and runs an artifact is linked to.
CREATE TABLE artifact_link (
    owner_id INTEGER NOT NULL REFERENCES resource (id),
    artifact_id INTEGER NOT NULL REFERENCES resource (id),
    PRIMARY KEY (owner_id, artifact_id)
) STRICT;
CREATE INDEX artifact_link_by_artifact ON artifact_link (artifact_id);

-- Custom properties. `kind` is that of the resource. `key_text` is the beginning of `text`, short enough for any index; `number`
-- holds ints, doubles and bools.
CREATE TABLE property (
    resource_id INTEGER NOT NULL REFERENCES resource (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    form TEXT NOT NULL,
    text TEXT,
    key_text TEXT,
    number REAL,
    PRIMARY KEY (resource_id, name)
) STRICT;
CREATE INDEX property_by_text ON property (kind, name, key_text, form, resource_id);
CREATE INDEX property_by_number ON property (kind, name, number, form, resource_id);

-- What a metric of a run was, each time that it was given.
CREATE TABLE metric_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL REFERENCES resource (id),
    metric_id INTEGER NOT NULL REFERENCES resource (id),
    name TEXT NOT NULL,
    value REAL,
    step INTEGER,
    timestamp INTEGER,
    state TEXT NOT NULL,
    properties TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX metric_history_of_run ON metric_history (run_id, name, id);

-- Who changed what, and when. Numbers are given out under the lock of `change_head`, so that they are committed in order.
CREATE TABLE change_log (
    seq INTEGER NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    resource_id INTEGER NOT NULL REFERENCES resource (id),
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX change_log_of_resource ON change_log (resource_id, seq);
CREATE TABLE change_head (
    last INTEGER NOT NULL
) STRICT;
INSERT INTO change_head (last) VALUES (0);
