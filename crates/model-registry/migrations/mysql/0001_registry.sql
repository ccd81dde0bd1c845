-- The tree of resources: what all kinds have in common. Its root, 0, is the parent of what belongs to nothing, so that a
-- name is unique there, too.
CREATE TABLE resource (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind VARCHAR(32) NOT NULL,
    scope VARCHAR(32) NOT NULL,
    parent_id BIGINT NOT NULL,
    name VARCHAR(255) NOT NULL,
    external_id VARCHAR(255),
    description LONGTEXT,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    FOREIGN KEY (parent_id) REFERENCES resource (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE UNIQUE INDEX resource_by_name ON resource (kind, parent_id, name);
CREATE UNIQUE INDEX resource_by_external_id ON resource (scope, external_id);
CREATE INDEX resource_in_order_of_id ON resource (kind, id);
CREATE INDEX resource_of_parent_in_order_of_id ON resource (parent_id, kind, id);
CREATE INDEX resource_in_order_of_created ON resource (kind, created, id);
CREATE INDEX resource_of_parent_in_order_of_created ON resource (parent_id, kind, created, id);
CREATE INDEX resource_in_order_of_updated ON resource (kind, updated, id);
CREATE INDEX resource_of_parent_in_order_of_updated ON resource (parent_id, kind, updated, id);
SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO');
INSERT INTO resource (id, kind, scope, parent_id, name, created, updated) VALUES (0, 'Root', 'root', 0, '', 0, 0);

-- The fields of each kind.
CREATE TABLE registered_model (
    id BIGINT NOT NULL PRIMARY KEY,
    readme LONGTEXT,
    maturity LONGTEXT,
    language LONGTEXT,
    tasks LONGTEXT,
    provider LONGTEXT,
    logo LONGTEXT,
    license LONGTEXT,
    license_link LONGTEXT,
    library_name LONGTEXT,
    owner LONGTEXT,
    state VARCHAR(32) NOT NULL,
    FOREIGN KEY (id) REFERENCES resource (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE model_version (
    id BIGINT NOT NULL PRIMARY KEY,
    author LONGTEXT,
    state VARCHAR(32) NOT NULL,
    FOREIGN KEY (id) REFERENCES resource (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE artifact (
    id BIGINT NOT NULL PRIMARY KEY,
    uri LONGTEXT,
    state VARCHAR(32) NOT NULL,
    model_format_name LONGTEXT,
    model_format_version LONGTEXT,
    storage_key LONGTEXT,
    storage_path LONGTEXT,
    service_account_name LONGTEXT,
    model_source_kind LONGTEXT,
    model_source_class LONGTEXT,
    model_source_group LONGTEXT,
    model_source_id LONGTEXT,
    model_source_name LONGTEXT,
    digest LONGTEXT,
    source_type LONGTEXT,
    source LONGTEXT,
    data_schema LONGTEXT,
    profile LONGTEXT,
    metric_value DOUBLE,
    metric_timestamp BIGINT,
    metric_step BIGINT,
    parameter_value LONGTEXT,
    parameter_type VARCHAR(32),
    FOREIGN KEY (id) REFERENCES resource (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE serving_environment (
    id BIGINT NOT NULL PRIMARY KEY,
    FOREIGN KEY (id) REFERENCES resource (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE inference_service (
    id BIGINT NOT NULL PRIMARY KEY,
    registered_model_id BIGINT NOT NULL,
    model_version_id BIGINT,
    runtime LONGTEXT,
    desired_state VARCHAR(32) NOT NULL,
    FOREIGN KEY (id) REFERENCES resource (id),
    FOREIGN KEY (registered_model_id) REFERENCES resource (id),
    FOREIGN KEY (model_version_id) REFERENCES resource (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE serve_model (
    id BIGINT NOT NULL PRIMARY KEY,
    model_version_id BIGINT NOT NULL,
    last_known_state VARCHAR(32) NOT NULL,
    FOREIGN KEY (id) REFERENCES resource (id),
    FOREIGN KEY (model_version_id) REFERENCES resource (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE experiment (
    id BIGINT NOT NULL PRIMARY KEY,
    owner LONGTEXT,
    state VARCHAR(32) NOT NULL,
    FOREIGN KEY (id) REFERENCES resource (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE experiment_run (
    id BIGINT NOT NULL PRIMARY KEY,
    start_time BIGINT,
    end_time BIGINT,
    status VARCHAR(32) NOT NULL,
    owner LONGTEXT,
    state VARCHAR(32) NOT NULL,
    FOREIGN KEY (id) REFERENCES resource (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX inference_service_by_registered_model_id ON inference_service (registered_model_id);
CREATE INDEX inference_service_by_model_version_id ON inference_service (model_version_id);
CREATE INDEX serve_model_by_model_version_id ON serve_model (model_version_id);

-- Which versions and runs an artifact is linked to.
CREATE TABLE artifact_link (
    owner_id BIGINT NOT NULL,
    artifact_id BIGINT NOT NULL,
    PRIMARY KEY (owner_id, artifact_id),
    FOREIGN KEY (owner_id) REFERENCES resource (id),
    FOREIGN KEY (artifact_id) REFERENCES resource (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX artifact_link_by_artifact ON artifact_link (artifact_id);

-- Custom properties. `kind` is that of the resource. `key_text` is the beginning of `text`, short enough for any index; `number`
-- holds ints, doubles and bools.
CREATE TABLE property (
    resource_id BIGINT NOT NULL,
    kind VARCHAR(32) NOT NULL,
    name VARCHAR(255) NOT NULL,
    form VARCHAR(32) NOT NULL,
    text LONGTEXT,
    key_text VARCHAR(191),
    number DOUBLE,
    PRIMARY KEY (resource_id, name),
    FOREIGN KEY (resource_id) REFERENCES resource (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX property_by_text ON property (kind, name, key_text, form, resource_id);
CREATE INDEX property_by_number ON property (kind, name, number, form, resource_id);

-- What a metric of a run was, each time that it was given.
CREATE TABLE metric_history (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    run_id BIGINT NOT NULL,
    metric_id BIGINT NOT NULL,
    name VARCHAR(255) NOT NULL,
    value DOUBLE,
    step BIGINT,
    timestamp BIGINT,
    state VARCHAR(32) NOT NULL,
    properties LONGTEXT NOT NULL,
    created BIGINT NOT NULL,
    FOREIGN KEY (run_id) REFERENCES resource (id),
    FOREIGN KEY (metric_id) REFERENCES resource (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX metric_history_of_run ON metric_history (run_id, name, id);

-- Who changed what, and when. Numbers are given out under the lock of `change_head`, so that they are committed in order.
CREATE TABLE change_log (
    seq BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor VARCHAR(255),
    action VARCHAR(32) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    resource_id BIGINT NOT NULL,
    detail LONGTEXT NOT NULL,
    FOREIGN KEY (resource_id) REFERENCES resource (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX change_log_of_resource ON change_log (resource_id, seq);
CREATE TABLE change_head (
    last BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT INTO change_head (last) VALUES (0);

-- To `utf8mb4_bin`, `a` and `a ` are the same; to collations that compare every character they are not, and those have other
-- names in MySQL and in MariaDB.
SET @exact = IF(VERSION() LIKE '%MariaDB%', 'utf8mb4_nopad_bin', 'utf8mb4_0900_bin');
SET @change = CONCAT('ALTER TABLE resource CONVERT TO CHARACTER SET utf8mb4 COLLATE ', @exact);
PREPARE statement FROM @change;
EXECUTE statement;
SET @change = CONCAT('ALTER TABLE property CONVERT TO CHARACTER SET utf8mb4 COLLATE ', @exact);
PREPARE statement FROM @change;
EXECUTE statement;
SET @change = CONCAT('ALTER TABLE registered_model CONVERT TO CHARACTER SET utf8mb4 COLLATE ', @exact);
PREPARE statement FROM @change;
EXECUTE statement;
SET @change = CONCAT('ALTER TABLE model_version CONVERT TO CHARACTER SET utf8mb4 COLLATE ', @exact);
PREPARE statement FROM @change;
EXECUTE statement;
SET @change = CONCAT('ALTER TABLE artifact CONVERT TO CHARACTER SET utf8mb4 COLLATE ', @exact);
PREPARE statement FROM @change;
EXECUTE statement;
SET @change = CONCAT('ALTER TABLE inference_service CONVERT TO CHARACTER SET utf8mb4 COLLATE ', @exact);
PREPARE statement FROM @change;
EXECUTE statement;
SET @change = CONCAT('ALTER TABLE serve_model CONVERT TO CHARACTER SET utf8mb4 COLLATE ', @exact);
PREPARE statement FROM @change;
EXECUTE statement;
SET @change = CONCAT('ALTER TABLE experiment CONVERT TO CHARACTER SET utf8mb4 COLLATE ', @exact);
PREPARE statement FROM @change;
EXECUTE statement;
SET @change = CONCAT('ALTER TABLE experiment_run CONVERT TO CHARACTER SET utf8mb4 COLLATE ', @exact);
PREPARE statement FROM @change;
EXECUTE statement;
SET @change = CONCAT('ALTER TABLE metric_history CONVERT TO CHARACTER SET utf8mb4 COLLATE ', @exact);
PREPARE statement FROM @change;
EXECUTE statement;
DEALLOCATE PREPARE statement;
