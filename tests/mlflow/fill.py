"""Puts versions of models into the database of MLflow's registry, as the benchmark puts them into ours.

fill.py DATABASE FROM TO: the versions from that number on, up to the other.
"""

import sqlite3
import sys

VERSIONS = 10
BEGAN = 1_700_000_000_000


def main(path, start, end):
    database = sqlite3.connect(path)
    database.executemany(
        "INSERT INTO registered_models (name, creation_time, last_updated_time, description) VALUES (?, ?, ?, ?)",
        (
            (f"granite-{model}", BEGAN + model, BEGAN + model, f"The model number {model}.")
            for model in range(start // VERSIONS, end // VERSIONS)
        ),
    )
    database.executemany(
        "INSERT INTO model_versions (name, version, creation_time, last_updated_time, description, current_stage, "
        "source, run_id, status, run_link, storage_location) "
        "VALUES (?, ?, ?, ?, 'Trained again on newer tickets.', 'None', ?, '', 'READY', '', ?)",
        (
            (
                f"granite-{number // VERSIONS}",
                number % VERSIONS + 1,
                BEGAN + number,
                BEGAN + number,
                f"s3://models/granite-{number}",
                f"s3://models/granite-{number}",
            )
            for number in range(start, end)
        ),
    )
    database.executemany(
        "INSERT INTO model_version_tags (key, value, name, version) VALUES (?, ?, ?, ?)",
        (
            (key, value, f"granite-{number // VERSIONS}", number % VERSIONS + 1)
            for number in range(start, end)
            for key, value in tags(number)
        ),
    )
    database.commit()


def tags(number):
    """The custom properties of the version of that number; the same as in tests/benches/registry/fill.rs."""
    yield "license", "apache-2.0"
    yield "stage", "Production" if number % 4 == 0 else "Canary" if number % 20 == 1 else "None"
    yield "ticket", f"T-{number % 10_000}"
    yield "accuracy", str(number % 1_000 / 1_000)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
