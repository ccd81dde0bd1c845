"""Lists of more than a page, in every order that the client can ask for."""

from client import RegistryTest, everything, requests
from model_registry.types import DocArtifact, ListOptions, ModelArtifact, RegisteredModel
from mr_openapi import ArtifactTypeQueryParam, ModelVersionCreate, RegisteredModelCreate

MANY = 105


class Listing(RegistryTest):
    def own(self, items):
        """The names, in their order, of what this test made: others make models, too."""
        return [item.name for item in everything(items) if item.name.startswith(f"{self.prefix}.")]

    def names(self, count=MANY):
        # Not in the order of the alphabet.
        return [f"{self.prefix}.{number * 37 % count}" for number in range(count)]

    def models(self, names):
        async def create(api):
            return [await api.create_registered_model(RegisteredModelCreate(name=name)) for name in names]

        return self.generated(create)

    def versions(self, model, names):
        async def create(api):
            for name in names:
                await api.create_model_version(ModelVersionCreate(name=name, registered_model_id=model.id))

        self.generated(create)

    def test_models_come_page_by_page_each_once_and_in_order(self):
        names = self.names()
        self.models(names)
        with requests() as made:
            listed = everything(self.registry.get_registered_models().page_size(10).order_by_id())
        ids = [int(model.id) for model in listed]
        self.assertEqual(ids, sorted(set(ids)))
        self.assertEqual(self.own(listed), names)
        # The client asks for the first page once more to learn that it has come round.
        self.assertEqual(len(made), -(-len(listed) // 10) + 1)

        for order in ("order_by_id", "order_by_creation_time", "order_by_update_time"):
            with self.subTest(order):
                pager = getattr(self.registry.get_registered_models().page_size(10), order)
                self.assertEqual(self.own(pager().ascending()), names)
                self.assertEqual(self.own(pager().descending()), names[::-1])
        self.assertEqual(self.own(self.registry.get_registered_models()), names)

    def test_a_page_as_large_as_the_list_is_the_list(self):
        model, *_ = self.models([f"{self.prefix}.model"])
        self.versions(model, self.names(10))
        for size in (9, 10, 11):
            with self.subTest(size=size):
                self.assertEqual(
                    self.own(self.registry.get_model_versions(model.name).page_size(size)), self.names(10)
                )

    def test_versions_come_page_by_page_and_only_those_of_the_model(self):
        model, other = self.models([f"{self.prefix}.model", f"{self.prefix}.other"])
        names = self.names()
        self.versions(model, names)
        self.versions(other, ["another"])
        with requests() as made:
            found = everything(self.registry.get_model_versions(model.name).page_size(100))
        self.assertEqual([version.name for version in found], names)
        self.assertEqual({version.registered_model_id for version in found}, {model.id})
        # One finds the model, two are pages, one comes round.
        self.assertEqual(len(made), 4)
        descending = self.registry.get_model_versions(model.name).page_size(7).order_by_creation_time().descending()
        self.assertEqual([version.name for version in everything(descending)], names[::-1])

    def test_what_changed_last_comes_last_in_order_of_change(self):
        models = self.models(self.names(5))
        first = self.registry.get_registered_model(models[0].name)
        first.description = "changed"
        self.registry.update(first)
        pager = self.registry.get_registered_models().page_size(2)
        expected = [model.name for model in models[1:] + models[:1]]
        self.assertEqual(self.own(pager.order_by_update_time()), expected)
        self.assertEqual(self.own(pager.descending()), expected[::-1])
        self.assertEqual(self.own(pager.order_by_creation_time()), [model.name for model in models][::-1])

    def test_a_model_without_versions_has_an_empty_list(self):
        self.await_(self.registry._api.upsert_registered_model(RegisteredModel(name=self.prefix)))
        self.assertEqual(everything(self.registry.get_model_versions(self.prefix)), [])
        self.assertEqual(everything(self.registry.get_model_versions(self.prefix).page_size(5)), [])

    def test_the_artifacts_of_a_version_are_its_own_of_the_kind_asked_for(self):
        self.register(self.prefix)
        self.register(self.prefix, version="v2")
        api = self.registry._api
        version = self.registry.get_model_version(self.prefix, "v1")
        self.await_(api.upsert_model_version_artifact(DocArtifact(name="card", uri="https://docs/card"), version.id))
        self.await_(api.upsert_model_version_artifact(ModelArtifact(name="again", uri="s3://x"), version.id))
        listed = self.await_(api.get_model_version_artifacts(version.id))
        self.assertEqual(
            [(type(artifact).__name__, artifact.name) for artifact in listed],
            [("ModelArtifact", self.prefix), ("DocArtifact", "card"), ("ModelArtifact", "again")],
        )
        documents = ListOptions.artifact_type(ArtifactTypeQueryParam.DOC_MINUS_ARTIFACT)
        listed = self.await_(api.get_model_version_artifacts(version.id, documents))
        self.assertEqual([artifact.name for artifact in listed], ["card"])

    def test_a_list_is_narrowed_by_a_filter_query(self):
        self.register(self.prefix, version="small", metadata={"size": 8, "score": 0.5, "kind": "chat"})
        self.register(self.prefix, version="large", metadata={"size": 70, "score": 0.9, "kind": "chat"})
        model = self.registry.get_registered_model(self.prefix)
        for query, expected in [
            ("size > 8", ["large"]),
            ("size.int_value >= 8 AND kind = 'chat'", ["small", "large"]),
            ("score < 0.6 or name = 'large'", ["small", "large"]),
            ("kind LIKE 'co%'", []),
        ]:
            with self.subTest(query):
                page = self.generated(
                    lambda api, query=query: api.get_registered_model_versions(model.id, filter_query=query)
                )
                self.assertEqual([version.name for version in page.items], expected)
