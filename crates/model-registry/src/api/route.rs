//! Which paths there are, and what is asked for at each.

use http::Method;

use super::decode::Schema;
use super::version::Version;
use crate::model::Kind;

/// Resources that have paths of their own: one kind, or all artifacts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Collection {
    /// The kinds that are in it.
    pub(super) kinds: &'static [Kind],
    /// What the schemas call one of them.
    pub(super) schema: &'static str,
    /// Where one is found.
    pub(super) one: &'static str,
    /// Where they are listed.
    pub(super) many: &'static str,
    /// What paths call the id of one.
    pub(super) id: &'static str,
}

/// Resources that are listed and made beneath another one.
#[derive(Debug)]
pub(super) struct Branch {
    /// Beneath which kind.
    pub(super) of: Kind,
    /// What the path calls them.
    segment: &'static str,
    /// Which they are.
    pub(super) kinds: &'static [Kind],
    /// What the operations call one of them.
    operation: &'static str,
    /// What the schema of a new one is called.
    pub(super) body: &'static str,
    /// What a list is of that has nothing to be beneath.
    pub(super) without_parent: WithoutParent,
}

/// What the children are of what is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WithoutParent {
    /// None.
    Empty,
    /// There is no such list.
    NotFound,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asks {
    /// The one of that name or external id.
    Find(&'static Collection),
    /// All.
    List(&'static Collection),
    /// To make one.
    Create(&'static Collection),
    /// The one of that id.
    Get(&'static Collection),
    /// To change the one of that id.
    Update(&'static Collection),
    /// Those beneath the one of that id.
    Children(&'static Branch),
    /// To make one beneath the one of that id.
    CreateChild(&'static Branch),
    /// To make, change or link an artifact of the one of that id.
    Offer(&'static Branch),
    /// What the metrics of all runs were.
    History,
    /// What the metrics of the run of that id were.
    HistoryOfRun,
    /// The version that the inference service of that id serves.
    ServedVersion,
    /// The model that the inference service of that id serves.
    ServedModel,
}

/// An operation of the API.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) operation: String,
    pub(super) asks: Asks,
}

static COLLECTIONS: [Collection; 8] = [
    Collection {
        kinds: &[Kind::RegisteredModel],
        schema: "RegisteredModel",
        one: "registered_model",
        many: "registered_models",
        id: "registeredmodelId",
    },
    Collection {
        kinds: &[Kind::ModelVersion],
        schema: "ModelVersion",
        one: "model_version",
        many: "model_versions",
        id: "modelversionId",
    },
    Collection { kinds: &Kind::ARTIFACTS, schema: "Artifact", one: "artifact", many: "artifacts", id: "id" },
    Collection {
        kinds: &[Kind::ModelArtifact],
        schema: "ModelArtifact",
        one: "model_artifact",
        many: "model_artifacts",
        id: "modelartifactId",
    },
    Collection {
        kinds: &[Kind::ServingEnvironment],
        schema: "ServingEnvironment",
        one: "serving_environment",
        many: "serving_environments",
        id: "servingenvironmentId",
    },
    Collection {
        kinds: &[Kind::InferenceService],
        schema: "InferenceService",
        one: "inference_service",
        many: "inference_services",
        id: "inferenceserviceId",
    },
    Collection {
        kinds: &[Kind::Experiment],
        schema: "Experiment",
        one: "experiment",
        many: "experiments",
        id: "experimentId",
    },
    Collection {
        kinds: &[Kind::ExperimentRun],
        schema: "ExperimentRun",
        one: "experiment_run",
        many: "experiment_runs",
        id: "experimentrunId",
    },
];

static BRANCHES: [Branch; 6] = [
    Branch {
        of: Kind::RegisteredModel,
        segment: "versions",
        kinds: &[Kind::ModelVersion],
        operation: "RegisteredModelVersion",
        body: "ModelVersion",
        without_parent: WithoutParent::Empty,
    },
    Branch {
        of: Kind::ModelVersion,
        segment: "artifacts",
        kinds: &Kind::ARTIFACTS,
        operation: "ModelVersionArtifact",
        body: "Artifact",
        without_parent: WithoutParent::Empty,
    },
    Branch {
        of: Kind::ServingEnvironment,
        segment: "inference_services",
        kinds: &[Kind::InferenceService],
        operation: "EnvironmentInferenceService",
        body: "InferenceServiceCreate",
        without_parent: WithoutParent::Empty,
    },
    Branch {
        of: Kind::InferenceService,
        segment: "serves",
        kinds: &[Kind::ServeModel],
        operation: "InferenceServiceServe",
        body: "ServeModelCreate",
        without_parent: WithoutParent::Empty,
    },
    Branch {
        of: Kind::Experiment,
        segment: "experiment_runs",
        kinds: &[Kind::ExperimentRun],
        operation: "ExperimentExperimentRun",
        body: "ExperimentRun",
        without_parent: WithoutParent::NotFound,
    },
    Branch {
        of: Kind::ExperimentRun,
        segment: "artifacts",
        kinds: &Kind::ARTIFACTS,
        operation: "ExperimentRunArtifact",
        body: "Artifact",
        without_parent: WithoutParent::Empty,
    },
];

impl Collection {
    /// The one of `kind` alone.
    pub(super) fn of(kind: Kind) -> Option<&'static Self> {
        COLLECTIONS.iter().find(|collection| collection.kinds == [kind])
    }

    fn routes(&'static self, version: Version) -> [Route; 5] {
        let Self { schema, one, many, id, .. } = self;
        let path = |rest: &str| format!("{}/{rest}", version.prefix());
        let route = |method, path, operation, asks| Route { method, path, operation, asks };
        [
            route(Method::GET, path(one), format!("find{schema}"), Asks::Find(self)),
            route(Method::GET, path(many), format!("get{schema}s"), Asks::List(self)),
            route(Method::POST, path(many), format!("create{schema}"), Asks::Create(self)),
            route(Method::GET, path(&format!("{many}/{{{id}}}")), format!("get{schema}"), Asks::Get(self)),
            route(Method::PATCH, path(&format!("{many}/{{{id}}}")), format!("update{schema}"), Asks::Update(self)),
        ]
    }
}

impl Branch {
    /// Of which schema the body of a new one is.
    pub(super) fn schema(&self) -> Schema {
        if self.kinds.iter().any(|kind| kind.name() == self.body) { Schema::Whole } else { Schema::Create }
    }

    /// Whether those in it are kept as links: then they are not made beneath it alone, and their bodies don't name it.
    pub(super) fn is_of_artifacts(&self) -> bool {
        self.kinds == Kind::ARTIFACTS
    }

    fn routes(&'static self, version: Version) -> [Route; 2] {
        let path = beneath(version, self.of, self.segment);
        let operation = self.operation;
        let (verb, asks) =
            if self.is_of_artifacts() { ("upsert", Asks::Offer(self)) } else { ("create", Asks::CreateChild(self)) };
        [
            Route {
                method: Method::GET,
                path: path.clone(),
                operation: format!("get{operation}s"),
                asks: Asks::Children(self),
            },
            Route { method: Method::POST, path, operation: format!("{verb}{operation}"), asks },
        ]
    }
}

/// All operations of a version.
pub(super) fn routes(version: Version) -> Vec<Route> {
    let has = |kinds: &[Kind]| kinds.iter().all(|kind| version.has(*kind));
    let collections = COLLECTIONS.iter().filter(|collection| has(collection.kinds));
    let branches = BRANCHES.iter().filter(|branch| version.has(branch.of) && has(branch.kinds));
    let mut routes: Vec<Route> = collections
        .flat_map(|collection| collection.routes(version))
        .chain(branches.flat_map(|branch| branch.routes(version)))
        .collect();
    let mut read = |path: String, operation: &str, asks| {
        routes.push(Route { method: Method::GET, path, operation: operation.to_owned(), asks });
    };
    read(beneath(version, Kind::InferenceService, "version"), "getInferenceServiceVersion", Asks::ServedVersion);
    read(beneath(version, Kind::InferenceService, "model"), "getInferenceServiceModel", Asks::ServedModel);
    if version.has(Kind::ExperimentRun) {
        let of_all = format!("{}/experiment_runs/metric_history", version.prefix());
        read(of_all, "getExperimentRunsMetricHistory", Asks::History);
        let of_one = beneath(version, Kind::ExperimentRun, "metric_history");
        read(of_one, "getExperimentRunMetricHistory", Asks::HistoryOfRun);
    }
    routes
}

fn beneath(version: Version, of: Kind, segment: &str) -> String {
    let (many, id) = Collection::of(of).map_or(("", ""), |collection| (collection.many, collection.id));
    format!("{}/{many}/{{{id}}}/{segment}", version.prefix())
}
