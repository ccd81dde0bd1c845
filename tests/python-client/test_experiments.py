"""Experiments, their runs and what they log, which only the clients for v1alpha3 have."""

import contextlib
import io
import unittest

from client import BEFORE, HAS_EXPERIMENTS, RegistryTest, everything
from mr_openapi import ArtifactState

if HAS_EXPERIMENTS:
    from model_registry.types import DataSet, Experiment, ExperimentRun, Metric, Parameter
    from mr_openapi import ExperimentRunState, ExperimentRunStatus, ExperimentRunUpdate, ExperimentState


@unittest.skipUnless(HAS_EXPERIMENTS, "this client has no experiments")
class Experiments(RegistryTest):
    @contextlib.contextmanager
    def run_of(self, **arguments):
        """A run, without what the client prints about it."""
        with contextlib.redirect_stdout(io.StringIO()):
            run = self.registry.start_experiment_run(**arguments)
        with run:
            yield run

    def history(self, run, **arguments):
        page = self.generated(lambda api: api.get_experiment_run_metric_history(run.info.id, **arguments))
        return [(metric.name, metric.step, metric.value) for metric in page.items]

    def test_an_experiment_is_made_once_and_found(self):
        with self.run_of(experiment_name=self.prefix, owner="team-a", description="Which rate?") as run:
            pass
        experiment = self.await_(self.registry._api.get_experiment_by_name(self.prefix))
        self.assert_same(
            experiment,
            Experiment(
                id=run.info.experiment_id,
                name=self.prefix,
                owner="team-a",
                description="Which rate?",
                state=ExperimentState.LIVE,
            ),
        )
        # The client changes nothing of an experiment of that name: it sends an empty object.
        again = self.registry.create_experiment(self.prefix)
        self.assertEqual((again.id, again.owner, again.description), (experiment.id, "team-a", "Which rate?"))
        self.assertIsNone(self.await_(self.registry._api.get_experiment_by_name(f"{self.prefix}-other")))
        self.assertIsNone(self.registry.get_experiment_run("999999999"))

    def test_an_experiment_is_changed_and_archived(self):
        experiment = self.registry.create_experiment(self.prefix)
        experiment.description = "Which rate?"
        experiment.custom_properties = {"gpus": 8}
        experiment.state = ExperimentState.ARCHIVED
        changed = self.await_(self.registry._api.upsert_experiment(experiment))
        self.assertGreater(int(changed.last_update_time_since_epoch), int(experiment.last_update_time_since_epoch))
        experiment.last_update_time_since_epoch = changed.last_update_time_since_epoch
        self.assertEqual(changed, experiment)
        self.assertEqual(self.await_(self.registry._api.get_experiment_by_name(self.prefix)), experiment)

    def test_what_a_run_logs_is_kept(self):
        with self.run_of(experiment_name=self.prefix, run_description="The first try.") as run:
            run.log_param("rate", 0.1, description="Of learning.")
            run.log_param("epochs", 3)
            run.log_param("shuffle", True)
            run.log_param("optimizer", "adam")
            run.log_metric("loss", 0.5, step=7, timestamp="1700000000000", description="Lower is better.")
            run.log_dataset(
                name="train",
                uri="s3://data/train",
                source_type="s3",
                source="data",
                schema='{"columns": ["a"]}',
                profile='{"rows": 3}',
                description="What it learns from.",
            )
        logged = everything(self.registry.get_experiment_run_logs(run_id=run.info.id))
        unknown = ArtifactState.UNKNOWN
        expected = [
            Parameter(name="rate", value=0.1, parameter_type="number", description="Of learning.", state=unknown),
            Parameter(name="epochs", value=3.0, parameter_type="number", state=unknown),
            Parameter(name="shuffle", value=True, parameter_type="boolean", state=unknown),
            Parameter(name="optimizer", value="adam", parameter_type="string", state=unknown),
            Metric(
                name="loss",
                value=0.5,
                step=7,
                timestamp="1700000000000",
                description="Lower is better.",
                state=ArtifactState.LIVE,
            ),
            DataSet(
                name="train",
                uri="s3://data/train",
                source_type="s3",
                source="data",
                schema='{"columns": ["a"]}',
                profile='{"rows": 3}',
                description="What it learns from.",
                state=unknown,
            ),
        ]
        self.assertEqual([item.name for item in logged], [item.name for item in expected])
        owner = {"experiment_id": run.info.experiment_id, "experiment_run_id": run.info.id}
        for found, wanted in zip(logged, expected):
            self.assert_same(found, wanted.model_copy(update={"id": found.id, **owner}))
        # The client keeps what the registry answered.
        self.assertEqual([item.id for item in run.get_logs()], [item.id for item in logged])
        by_name = self.registry.get_experiment_run_logs(run_name=run.info.name, experiment_name=self.prefix)
        self.assertEqual(everything(by_name), logged)
        self.assert_same(
            self.registry.get_experiment_run(run.info.id),
            ExperimentRun(
                id=run.info.id,
                name=run.info.name,
                experiment_id=run.info.experiment_id,
                description="The first try.",
                state=ExperimentRunState.LIVE,
            ),
        )

    def test_a_metric_keeps_its_history(self):
        with self.run_of(experiment_name=self.prefix) as run:
            run.log_metric("loss", 0.5, step=1)
            run.log_metric("accuracy", 0.6, step=1)
        for step, loss in [(2, 0.4), (3, 0.25)]:
            with self.run_of(experiment_id=run.info.experiment_id, run_id=run.info.id) as again:
                again.log_metric("loss", loss, step=step)
        # The newest is the metric; the steps are its history.
        logged = everything(self.registry.get_experiment_run_logs(run_id=run.info.id))
        newest = [(item.name, item.step, item.value) for item in logged]
        self.assertEqual(newest, [("loss", 3, 0.25), ("accuracy", 1, 0.6)])
        losses = [("loss", 1, 0.5), ("loss", 2, 0.4), ("loss", 3, 0.25)]
        self.assertEqual(self.history(run, name="loss"), losses)
        self.assertEqual(self.history(run, name="loss", step_ids="1,3"), [losses[0], losses[2]])
        self.assertEqual(sorted(self.history(run)), [("accuracy", 1, 0.6), *losses])
        self.assertEqual(self.history(run, name="other"), [])

    def test_runs_come_page_by_page(self):
        names = []
        for _ in range(12):
            with self.run_of(experiment_name=self.prefix) as run:
                names.append(run.info.name)
        by_name = self.registry.get_experiment_runs(experiment_name=self.prefix).page_size(5)
        self.assertEqual([item.name for item in everything(by_name)], names)
        by_id = self.registry.get_experiment_runs(experiment_id=run.info.experiment_id).page_size(5).descending()
        self.assertEqual([item.name for item in everything(by_id)], names[::-1])
        experiments = everything(self.registry.get_experiments().page_size(1))
        self.assertEqual([item.name for item in experiments].count(self.prefix), 1)
        self.assertEqual(everything(self.registry.get_experiment_runs(experiment_name=f"{self.prefix}-other")), [])

    def test_a_nested_run_names_the_one_above_it(self):
        with self.run_of(experiment_name=self.prefix) as outer:
            with self.run_of(nested=True) as inner:
                inner.log_param("depth", 2)
        nested = self.registry.get_experiment_run(inner.info.id)
        self.assertEqual(nested.custom_properties, {"kubeflow.parent_run_id": outer.info.id})
        self.assertEqual(nested.experiment_id, outer.info.experiment_id)

    def test_a_run_ends(self):
        with self.run_of(experiment_name=self.prefix) as run:
            pass
        started = self.generated(lambda api: api.get_experiment_run(run.info.id))
        self.assertEqual(started.status, ExperimentRunStatus.RUNNING)
        change = ExperimentRunUpdate(status=ExperimentRunStatus.FINISHED, endTimeSinceEpoch="1700000000000")
        self.generated(lambda api: api.update_experiment_run(run.info.id, change))
        ended = self.generated(lambda api: api.get_experiment_run(run.info.id))
        self.assertEqual((ended.status, ended.end_time_since_epoch), (ExperimentRunStatus.FINISHED, "1700000000000"))
        self.assertEqual(ended.name, run.info.name)


@unittest.skipUnless(BEFORE == "v1alpha3", "no client before this one had experiments")
class LeftByOthers(RegistryTest):
    def test_what_a_run_logged_is_listed_to_a_client_without_experiments(self):
        query = "name = 'loss' AND description = 'Lower is better.'"
        (metric,) = self.await_(self.registry._api.get_artifacts(filter_query=query, artifact_type="metric"))
        self.assertEqual((metric.value, metric.step, metric.timestamp), (0.5, 7, "1700000000000"))
        page = self.generated(lambda api: api.get_artifacts(filter_query=query, artifact_type="metric"))
        # Its step is a string in v1.
        self.assertEqual([item.actual_instance.step for item in page.items], ["7"])
