"""A model is registered, and found."""

import time
import unittest

from client import API, AUTHOR, BEFORE, HAS_EXPERIMENTS, RegistryTest, connect, everything, requests
from model_registry.exceptions import StoreError
from model_registry.types import ModelArtifact, ModelVersion, RegisteredModel
from mr_openapi import ArtifactState, ModelVersionState, RegisteredModelState
from mr_openapi.exceptions import BadRequestException, ConflictException

EVERYTHING = "{}.everything/granite: 8b"
URI = "s3://models/granite?endpoint=http://s3&defaultRegion=eu-1"

METADATA = {
    "text": "naïve: \"quoted\"\n第二行 🦀",
    "empty": "",
    "whole": 42,
    "zero": 0,
    # The client takes no more than nine digits.
    "smallest": -999_999_999,
    "largest": 999_999_999,
    "fraction": 0.1,
    "round": 2.0,
    "tiny": 5e-324,
    "yes": True,
    "no": False,
    "a.key with `marks` and 'more'": "as it is",
}

STORAGE = {
    "model_format_name": "safetensors",
    "model_format_version": "0.4",
    "storage_key": "aws-connection-models",
    "storage_path": "granite/8b",
    "service_account_name": "reader",
    "model_source_kind": "kfp",
    "model_source_class": "pipelinerun",
    "model_source_group": "team-a",
    "model_source_id": "0a1b",
    "model_source_name": "train-granite",
}


class Registering(RegistryTest):
    def test_the_client_calls_the_api_that_it_is_here_for(self):
        with requests() as made:
            connect()
        (method, url), *more = made
        self.assertEqual((method, more), ("GET", []))
        self.assertTrue(url.endswith(f"/api/model_registry/{API}/registered_models?pageSize=1&sortOrder=ASC"), url)
        self.assertEqual(HAS_EXPERIMENTS, API == "v1alpha3")

    def test_all_that_is_said_of_a_model_is_kept(self):
        name = EVERYTHING.format(API)
        before = int(time.time() * 1000)
        model = self.registry.register_model(
            name,
            URI,
            version="1.0/β",
            author="bo",
            owner="team-a",
            version_description="The first.\n\nWith a second paragraph.",
            metadata=METADATA,
            **STORAGE,
        )
        after = int(time.time() * 1000)
        self.assertEqual(self.registry.get_registered_model(name), model)
        for made in self.assert_everything(name):
            self.assertTrue(before <= int(made.create_time_since_epoch) <= after, (before, made, after))

    @unittest.skipUnless(BEFORE, "this client is the first")
    def test_what_the_client_before_registered_reads_the_same(self):
        self.assert_everything(EVERYTHING.format(BEFORE))

    def assert_everything(self, name):
        """The model has all that there is to say of one, and nothing else."""
        model = self.registry.get_registered_model(name)
        version = self.registry.get_model_version(name, "1.0/β")
        artifact = self.registry.get_model_artifact(name, "1.0/β")
        for made in (model, version, artifact):
            self.assertRegex(made.id, "^[1-9][0-9]{0,8}$")
            self.assertEqual(made.create_time_since_epoch, made.last_update_time_since_epoch)
        self.assert_same(
            model, RegisteredModel(id=model.id, name=name, owner="team-a", state=RegisteredModelState.LIVE)
        )
        self.assert_same(
            version,
            ModelVersion(
                id=version.id,
                name="1.0/β",
                author="bo",
                description="The first.\n\nWith a second paragraph.",
                state=ModelVersionState.LIVE,
                registered_model_id=model.id,
                custom_properties=METADATA,
            ),
        )
        # 2 equals 2.0 and True equals 1.
        self.assertEqual(
            {key: type(value) for key, value in version.custom_properties.items()},
            {key: type(value) for key, value in METADATA.items()},
        )
        self.assert_same(
            artifact, ModelArtifact(id=artifact.id, name=name, uri=URI, state=ArtifactState.UNKNOWN, **STORAGE)
        )
        return model, version, artifact

    def test_what_is_not_said_of_a_model_stays_empty(self):
        model = self.register(self.prefix)
        version = self.registry.get_model_version(self.prefix, "v1")
        artifact = self.registry.get_model_artifact(self.prefix, "v1")
        self.assertEqual((model.owner, version.author), (AUTHOR, AUTHOR))
        self.assertEqual((model.description, version.description, artifact.description), (None, None, None))
        self.assertEqual((model.custom_properties, version.custom_properties), (None, None))
        self.assertEqual((artifact.storage_key, artifact.model_source_kind), (None, None))

    def test_a_second_version_joins_the_first(self):
        model = self.register(self.prefix, owner="first")
        again = self.register(self.prefix, version="v2", owner="second")
        self.assertEqual(again, model)
        versions = [self.registry.get_model_version(self.prefix, name) for name in ("v1", "v2")]
        self.assertEqual([version.registered_model_id for version in versions], [model.id, model.id])
        self.assertEqual([version.name for version in versions], ["v1", "v2"])

    def test_two_models_may_have_a_version_of_one_name(self):
        first, second = self.register(f"{self.prefix}-a"), self.register(f"{self.prefix}-b")
        found = [self.registry.get_model_version(model.name, "v1") for model in (first, second)]
        self.assertEqual([version.registered_model_id for version in found], [first.id, second.id])

    def test_what_is_not_there_is_none_to_the_client(self):
        self.assertIsNone(self.registry.get_registered_model(self.prefix))
        with self.assertRaisesRegex(StoreError, "does not exist"):
            self.registry.get_model_version(self.prefix, "v1")
        self.register(self.prefix)
        self.assertIsNone(self.registry.get_model_version(self.prefix, "v2"))
        with self.assertRaisesRegex(StoreError, "does not exist"):
            self.registry.get_model_artifact(self.prefix, "v2")
        api = self.registry._api
        self.assertIsNone(self.await_(api.get_registered_model_by_id("999999999")))
        self.assertIsNone(self.await_(api.get_model_version_by_id("999999999")))
        self.assertIsNone(self.await_(api.get_model_artifact_by_id("999999999")))
        self.assertIsNone(self.await_(api.get_registered_model_by_params(external_id=self.prefix)))

    def test_an_id_of_something_else_finds_nothing(self):
        model = self.register(self.prefix)
        version = self.registry.get_model_version(self.prefix, "v1")
        self.assertIsNone(self.await_(self.registry._api.get_registered_model_by_id(version.id)))
        self.assertIsNone(self.await_(self.registry._api.get_model_version_by_id(model.id)))

    def test_a_version_that_exists_is_not_registered_again(self):
        self.register(self.prefix)
        with self.assertRaisesRegex(StoreError, "Version v1 already exists"):
            self.register(self.prefix)

    def test_names_that_are_taken_are_a_conflict(self):
        api = self.registry._api
        model = self.register(self.prefix)
        version = self.registry.get_model_version(self.prefix, "v1")
        with self.refused(ConflictException, "Conflict", ": conflict"):
            self.await_(api.upsert_registered_model(RegisteredModel(name=self.prefix)))
        with self.refused(ConflictException, "Conflict", ": conflict"):
            self.await_(api.upsert_model_version(ModelVersion(name="v1"), model.id))
        with self.refused(ConflictException, "Conflict", ": conflict"):
            self.await_(api.upsert_model_version_artifact(ModelArtifact(name=self.prefix, uri="s3://x"), version.id))

    def test_external_ids_find_and_are_unique(self):
        api = self.registry._api
        model = self.await_(api.upsert_registered_model(RegisteredModel(name=self.prefix, external_id=f"{self.prefix}:m")))
        version = self.await_(
            api.upsert_model_version(ModelVersion(name="v1", external_id=f"{self.prefix}:v"), model.id)
        )
        artifact = self.await_(
            api.upsert_model_version_artifact(
                ModelArtifact(name="a", uri="s3://x", external_id=f"{self.prefix}:a"), version.id
            )
        )
        self.assertEqual(self.await_(api.get_registered_model_by_params(external_id=f"{self.prefix}:m")), model)
        self.assertEqual(self.await_(api.get_model_version_by_params(external_id=f"{self.prefix}:v")), version)
        self.assertEqual(self.await_(api.get_model_artifact_by_params(external_id=f"{self.prefix}:a")), artifact)
        with self.refused(ConflictException, "Conflict", ": conflict"):
            self.await_(
                api.upsert_registered_model(RegisteredModel(name=f"{self.prefix}-2", external_id=f"{self.prefix}:m"))
            )

    def test_what_is_refused_leaves_nothing(self):
        with self.refused(BadRequestException, "Bad Request", ": bad request"):
            self.register(self.prefix, metadata={"size": 8, "text": "a\0b"})
        # The client registered the model before its version was refused.
        self.assertEqual(everything(self.registry.get_model_versions(self.prefix)), [])
        self.register(self.prefix, metadata={"size": 8})

    def test_text_with_a_nul_is_refused(self):
        with self.refused(BadRequestException, "Bad Request", ": bad request"):
            self.await_(self.registry._api.upsert_registered_model(RegisteredModel(name=f"{self.prefix}\0")))
