//! The kinds of resources, and what sets each apart.

use super::field::Form::{Id, Integer, Millis, Number, Text, Texts, Uri, Word};
use super::field::Given::{Always, AtFirst, Required};
use super::field::{Field, Words};

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A model that is registered.
    RegisteredModel,
    /// A version of a registered model.
    ModelVersion,
    /// Where the files of a model are.
    ModelArtifact,
    /// A document.
    DocArtifact,
    /// A data set.
    DataSet,
    /// A number that was measured.
    Metric,
    /// A parameter of a run.
    Parameter,
    /// Where models are served: a namespace, say.
    ServingEnvironment,
    /// A model that is served.
    InferenceService,
    /// A version that an inference service serves or served.
    ServeModel,
    /// Runs that belong together.
    Experiment,
    /// A run of an experiment.
    ExperimentRun,
}

/// A table that keeps the fields of one or more kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Of registered models.
    RegisteredModel,
    /// Of model versions.
    ModelVersion,
    /// Of all artifacts.
    Artifact,
    /// Of serving environments.
    ServingEnvironment,
    /// Of inference services.
    InferenceService,
    /// Of serves.
    ServeModel,
    /// Of experiments.
    Experiment,
    /// Of experiment runs.
    ExperimentRun,
}

/// What a resource belongs to; its name is unique there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// It belongs to nothing.
    None,
    /// It belongs to one resource of that kind, which a field of its JSON names.
    Named(Kind, &'static str),
    /// It belongs to one resource of that kind, which only the path of a request names.
    OfPath(Kind),
    /// It may belong to a model version or to a run, and be linked to more of them.
    Linked,
}

static REGISTERED_MODEL_STATE: Words = Words { schema: "RegisteredModelState", words: LIFE, default: Some("LIVE") };
static MODEL_VERSION_STATE: Words = Words { schema: "ModelVersionState", words: LIFE, default: Some("LIVE") };
static EXPERIMENT_STATE: Words = Words { schema: "ExperimentState", words: LIFE, default: Some("LIVE") };
static EXPERIMENT_RUN_STATE: Words = Words { schema: "ExperimentRunState", words: LIFE, default: Some("LIVE") };
const LIFE: &[&str] = &["LIVE", "ARCHIVED"];
static ARTIFACT_STATE: Words = Words {
    schema: "ArtifactState",
    words: &["UNKNOWN", "PENDING", "LIVE", "MARKED_FOR_DELETION", "DELETED", "ABANDONED", "REFERENCE"],
    default: Some("UNKNOWN"),
};
static INFERENCE_SERVICE_STATE: Words =
    Words { schema: "InferenceServiceState", words: &["DEPLOYED", "UNDEPLOYED"], default: Some("DEPLOYED") };
static EXECUTION_STATE: Words = Words {
    schema: "ExecutionState",
    words: &["UNKNOWN", "NEW", "RUNNING", "COMPLETE", "FAILED", "CACHED", "CANCELED"],
    default: Some("UNKNOWN"),
};
static EXPERIMENT_RUN_STATUS: Words = Words {
    schema: "ExperimentRunStatus",
    words: &["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"],
    default: Some("RUNNING"),
};
static PARAMETER_TYPE: Words =
    Words { schema: "ParameterType", words: &["string", "number", "boolean", "object"], default: None };

static REGISTERED_MODEL: [Field; 11] = [
    Field::text("readme", "readme"),
    Field::text("maturity", "maturity"),
    Field::new("language", "language", Texts, Always),
    Field::new("tasks", "tasks", Texts, Always),
    Field::text("provider", "provider"),
    Field::new("logo", "logo", Uri, Always),
    Field::text("license", "license"),
    Field::new("licenseLink", "license_link", Uri, Always),
    Field::text("libraryName", "library_name"),
    Field::text("owner", "owner"),
    Field::new("state", "state", Word(&REGISTERED_MODEL_STATE), Always),
];
static MODEL_VERSION: [Field; 2] =
    [Field::text("author", "author"), Field::new("state", "state", Word(&MODEL_VERSION_STATE), Always)];
static MODEL_ARTIFACT: [Field; 12] = [
    Field::text("modelFormatName", "model_format_name"),
    Field::text("modelFormatVersion", "model_format_version"),
    Field::text("storageKey", "storage_key"),
    Field::text("storagePath", "storage_path"),
    Field::text("serviceAccountName", "service_account_name"),
    Field::text("modelSourceKind", "model_source_kind"),
    Field::text("modelSourceClass", "model_source_class"),
    Field::text("modelSourceGroup", "model_source_group"),
    Field::text("modelSourceId", "model_source_id"),
    Field::text("modelSourceName", "model_source_name"),
    ARTIFACT_URI,
    STATE_OF_ARTIFACT,
];
static DOC_ARTIFACT: [Field; 2] = [ARTIFACT_URI, STATE_OF_ARTIFACT];
static DATA_SET: [Field; 7] = [
    Field::text("digest", "digest"),
    Field::text("sourceType", "source_type"),
    Field::text("source", "source"),
    Field::text("schema", "data_schema"),
    Field::text("profile", "profile"),
    ARTIFACT_URI,
    STATE_OF_ARTIFACT,
];
static METRIC: [Field; 4] = [
    Field::new("value", "metric_value", Number, Always),
    Field::new("timestamp", "metric_timestamp", Millis, Always),
    Field::new("step", "metric_step", Integer, Always),
    STATE_OF_ARTIFACT,
];
static PARAMETER: [Field; 3] = [
    Field::text("value", "parameter_value"),
    Field::new("parameterType", "parameter_type", Word(&PARAMETER_TYPE), Always),
    STATE_OF_ARTIFACT,
];
const ARTIFACT_URI: Field = Field::new("uri", "uri", Text, Always);
const STATE_OF_ARTIFACT: Field = Field::new("state", "state", Word(&ARTIFACT_STATE), Always);
static INFERENCE_SERVICE: [Field; 4] = [
    Field::new("registeredModelId", "registered_model_id", Id, Required),
    Field::new("modelVersionId", "model_version_id", Id, Always),
    Field::text("runtime", "runtime"),
    Field::new("desiredState", "desired_state", Word(&INFERENCE_SERVICE_STATE), Always),
];
static SERVE_MODEL: [Field; 2] = [
    Field::new("modelVersionId", "model_version_id", Id, Required),
    Field::new("lastKnownState", "last_known_state", Word(&EXECUTION_STATE), Always),
];
static EXPERIMENT: [Field; 2] =
    [Field::text("owner", "owner"), Field::new("state", "state", Word(&EXPERIMENT_STATE), Always)];
static EXPERIMENT_RUN: [Field; 5] = [
    Field::new("startTimeSinceEpoch", "start_time", Millis, AtFirst),
    Field::new("endTimeSinceEpoch", "end_time", Millis, Always),
    Field::new("status", "status", Word(&EXPERIMENT_RUN_STATUS), Always),
    Field::text("owner", "owner"),
    Field::new("state", "state", Word(&EXPERIMENT_RUN_STATE), Always),
];

impl Kind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::RegisteredModel,
        Self::ModelVersion,
        Self::ModelArtifact,
        Self::DocArtifact,
        Self::DataSet,
        Self::Metric,
        Self::Parameter,
        Self::ServingEnvironment,
        Self::InferenceService,
        Self::ServeModel,
        Self::Experiment,
        Self::ExperimentRun,
    ];
    /// Those of artifacts.
    pub const ARTIFACTS: [Self; 5] =
        [Self::ModelArtifact, Self::DocArtifact, Self::DataSet, Self::Metric, Self::Parameter];

    /// What the API's schemas call it; the database keeps it under this name, too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RegisteredModel => "RegisteredModel",
            Self::ModelVersion => "ModelVersion",
            Self::ModelArtifact => "ModelArtifact",
            Self::DocArtifact => "DocArtifact",
            Self::DataSet => "DataSet",
            Self::Metric => "Metric",
            Self::Parameter => "Parameter",
            Self::ServingEnvironment => "ServingEnvironment",
            Self::InferenceService => "InferenceService",
            Self::ServeModel => "ServeModel",
            Self::Experiment => "Experiment",
            Self::ExperimentRun => "ExperimentRun",
        }
    }

    /// The kind of that [`Self::name`].
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What people call it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::RegisteredModel => "registered model",
            Self::ModelVersion => "model version",
            Self::ModelArtifact => "model artifact",
            Self::DocArtifact => "doc artifact",
            Self::DataSet => "data set",
            Self::Metric => "metric",
            Self::Parameter => "parameter",
            Self::ServingEnvironment => "serving environment",
            Self::InferenceService => "inference service",
            Self::ServeModel => "serve",
            Self::Experiment => "experiment",
            Self::ExperimentRun => "experiment run",
        }
    }

    /// What `artifactType` says of it; only artifacts have one.
    pub const fn artifact_type(self) -> Option<&'static str> {
        match self {
            Self::ModelArtifact => Some("model-artifact"),
            Self::DocArtifact => Some("doc-artifact"),
            Self::DataSet => Some("dataset-artifact"),
            Self::Metric => Some("metric"),
            Self::Parameter => Some("parameter"),
            _ => None,
        }
    }

    /// The artifact of that `artifactType`.
    pub fn of_artifact_type(artifact_type: &str) -> Option<Self> {
        Self::ARTIFACTS.into_iter().find(|kind| kind.artifact_type() == Some(artifact_type))
    }

    /// Its fields, beyond those of every resource and the one that names its parent.
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::RegisteredModel => &REGISTERED_MODEL,
            Self::ModelVersion => &MODEL_VERSION,
            Self::ModelArtifact => &MODEL_ARTIFACT,
            Self::DocArtifact => &DOC_ARTIFACT,
            Self::DataSet => &DATA_SET,
            Self::Metric => &METRIC,
            Self::Parameter => &PARAMETER,
            Self::ServingEnvironment => &[],
            Self::InferenceService => &INFERENCE_SERVICE,
            Self::ServeModel => &SERVE_MODEL,
            Self::Experiment => &EXPERIMENT,
            Self::ExperimentRun => &EXPERIMENT_RUN,
        }
    }

    /// Its field of that name.
    pub fn field(self, name: &str) -> Option<&'static Field> {
        self.fields().iter().find(|field| field.name == name)
    }

    /// What it belongs to.
    pub const fn parent(self) -> Parent {
        match self {
            Self::RegisteredModel | Self::ServingEnvironment | Self::Experiment => Parent::None,
            Self::ModelVersion => Parent::Named(Self::RegisteredModel, "registeredModelId"),
            Self::InferenceService => Parent::Named(Self::ServingEnvironment, "servingEnvironmentId"),
            Self::ExperimentRun => Parent::Named(Self::Experiment, "experimentId"),
            Self::ServeModel => Parent::OfPath(Self::InferenceService),
            Self::ModelArtifact | Self::DocArtifact | Self::DataSet | Self::Metric | Self::Parameter => Parent::Linked,
        }
    }

    /// Whether a new one has to have a name; others are given a UUID.
    pub const fn must_be_named(self) -> bool {
        matches!(self, Self::RegisteredModel | Self::ModelVersion | Self::ServingEnvironment | Self::Experiment)
    }

    /// Where its fields are kept.
    pub const fn table(self) -> Table {
        match self {
            Self::RegisteredModel => Table::RegisteredModel,
            Self::ModelVersion => Table::ModelVersion,
            Self::ModelArtifact | Self::DocArtifact | Self::DataSet | Self::Metric | Self::Parameter => Table::Artifact,
            Self::ServingEnvironment => Table::ServingEnvironment,
            Self::InferenceService => Table::InferenceService,
            Self::ServeModel => Table::ServeModel,
            Self::Experiment => Table::Experiment,
            Self::ExperimentRun => Table::ExperimentRun,
        }
    }
}

impl Table {
    /// Its name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RegisteredModel => "registered_model",
            Self::ModelVersion => "model_version",
            Self::Artifact => "artifact",
            Self::ServingEnvironment => "serving_environment",
            Self::InferenceService => "inference_service",
            Self::ServeModel => "serve_model",
            Self::Experiment => "experiment",
            Self::ExperimentRun => "experiment_run",
        }
    }

    /// The scope in which external ids are unique, as in the existing server: one each for artifacts, for executions and
    /// for everything else.
    pub const fn scope(self) -> &'static str {
        match self {
            Self::Artifact => "artifact",
            Self::ServeModel => "execution",
            _ => "context",
        }
    }
}
