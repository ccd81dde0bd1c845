"""What was registered is changed, archived and brought back."""

from client import RegistryTest, everything
from model_registry.types import DocArtifact
from mr_openapi import ArtifactState, ModelVersionState, RegisteredModelState
from mr_openapi.exceptions import NotFoundException


class Changing(RegistryTest):
    def setUp(self):
        super().setUp()
        self.register(
            self.prefix,
            owner="team-a",
            version_description="The first.",
            metadata={"kept": "no", "size": 8},
            storage_key="models",
        )

    def read(self):
        return (
            self.registry.get_registered_model(self.prefix),
            self.registry.get_model_version(self.prefix, "v1"),
            self.registry.get_model_artifact(self.prefix, "v1"),
        )

    def assert_changed(self, before, answered, after, **fields):
        """Those fields changed, and no other but for the time of the last change, which went on."""
        self.assertEqual(answered, after)
        self.assertGreater(int(after.last_update_time_since_epoch), int(before.last_update_time_since_epoch))
        expected = {**before.model_dump(), **fields}
        expected["last_update_time_since_epoch"] = after.last_update_time_since_epoch
        self.assertEqual(after.model_dump(), expected)

    def test_a_model_is_changed(self):
        model, version, artifact = self.read()
        before = model.model_copy()
        model.description = "What it is for."
        model.owner = "team-b"
        model.external_id = self.prefix
        model.custom_properties = {"Provider": "IBM", "size": 8, "ratio": 1.0, "open": True}
        answered = self.registry.update(model)
        after, *others = self.read()
        self.assert_changed(
            before,
            answered,
            after,
            description="What it is for.",
            owner="team-b",
            external_id=self.prefix,
            custom_properties={"Provider": "IBM", "size": 8, "ratio": 1.0, "open": True},
        )
        self.assertEqual(others, [version, artifact])
        # What it says again is no conflict with itself.
        self.assert_changed(after, self.registry.update(after), self.read()[0])

    def test_a_version_is_changed_and_its_properties_replaced(self):
        model, version, artifact = self.read()
        before = version.model_copy()
        version.author = "bo"
        version.description = "Better."
        version.custom_properties = {"size": 9}
        answered = self.registry.update(version)
        other, after, another = self.read()
        self.assert_changed(
            before, answered, after, author="bo", description="Better.", custom_properties={"size": 9}
        )
        self.assertEqual([other, another], [model, artifact])

    def test_an_artifact_is_changed(self):
        artifact = self.read()[2]
        before = artifact.model_copy()
        changes = {
            "uri": "oci://images/granite:2",
            "state": ArtifactState.LIVE,
            "model_format_name": "gguf",
            "storage_key": "elsewhere",
            "model_source_kind": "kfp",
            "custom_properties": {"digest": "sha256:00"},
        }
        for field, value in changes.items():
            setattr(artifact, field, value)
        answered = self.registry.update(artifact)
        self.assert_changed(before, answered, self.read()[2], **changes)

    def test_an_artifact_that_is_said_again_with_its_id_is_changed_not_made(self):
        _, version, artifact = self.read()
        before = artifact.model_copy()
        artifact.uri = "s3://models/moved"
        answered = self.await_(self.registry._api.upsert_model_version_artifact(artifact, version.id))
        self.assert_changed(before, answered, self.read()[2], uri="s3://models/moved")
        listed = self.await_(self.registry._api.get_model_version_artifacts(version.id))
        self.assertEqual([item.id for item in listed], [artifact.id])

    def test_what_the_client_leaves_out_is_kept(self):
        version = self.read()[1]
        before = version.model_copy()
        # It does not say `null`, and nothing where there are no properties.
        version.description = None
        version.custom_properties = {}
        answered = self.registry.update(version)
        self.assert_changed(before, answered, self.read()[1])

    def test_archived_is_kept_and_comes_back(self):
        model, version, artifact = self.read()
        before = version.model_copy()
        version.state = ModelVersionState.ARCHIVED
        answered = self.registry.update(version)
        self.assert_changed(before, answered, self.read()[1], state=ModelVersionState.ARCHIVED)
        before = model.model_copy()
        model.state = RegisteredModelState.ARCHIVED
        answered = self.registry.update(model)
        archived, *rest = self.read()
        self.assert_changed(before, answered, archived, state=RegisteredModelState.ARCHIVED)
        version = self.read()[1]
        self.assertEqual(rest, [version, artifact])
        self.assertEqual(
            [(item.name, item.state) for item in everything(self.registry.get_model_versions(self.prefix))],
            [("v1", ModelVersionState.ARCHIVED)],
        )
        version.state = ModelVersionState.LIVE
        self.assertEqual(self.registry.update(version).state, ModelVersionState.LIVE)
        archived.state = RegisteredModelState.LIVE
        self.assertEqual(self.registry.update(archived).state, RegisteredModelState.LIVE)

    def test_what_is_not_there_is_not_changed(self):
        model, version, _ = self.read()
        model.id = "999999999"
        with self.refused(NotFoundException, "Not Found", ": not found"):
            self.registry.update(model)
        version.id = model.id
        with self.refused(NotFoundException, "Not Found", ": not found"):
            self.registry.update(version)
        with self.refused(NotFoundException, "Not Found", ": not found"):
            self.await_(self.registry._api.upsert_model_version_artifact(DocArtifact(name="x", uri="s3://x"), model.id))
