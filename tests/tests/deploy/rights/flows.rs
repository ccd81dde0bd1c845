//! What the bridge does in a cluster, flow by flow. Each says why it does not get through when it does not.

use serde_json::{Value, json};
use testkit::backstage::ScriptedBackstage;
use testkit::kube::samples::{
    InferenceService, llm_inference_service, owned_service_account, predictor_service, registry_route,
    registry_service, route,
};
use testkit::registry::ScriptedRegistry;

use super::world::{MODELS, REGISTRIES, World, cluster_token};
use crate::manifests::items;

/// A way through the bridge that needs rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Registries are found by their Services, read, stored and served.
    FirstSync,
    /// Registries are found by their Routes.
    RegistriesByRoutes,
    /// `MR_ROUTE` names a registry.
    NamedRoute,
    /// The proxy in front of a registry lets the normalizer in.
    RegistryBehindProxy,
    /// InferenceServices are shown, and changes of them at once.
    InferenceServices,
    /// The same of LLMInferenceServices.
    LlmInferenceServices,
    /// Addresses inside of the cluster, from the Services of models.
    InternalAddresses,
    /// Whether a model asks for authentication, from its ServiceAccounts.
    Authentication,
    /// `NAMESPACE_ANNOTATIONS`
    NamespaceOwners,
    /// Entries are kept in ConfigMaps, also in further ones.
    Storage,
    /// storage-rest recognises the normalizer.
    WritingToStorage,
    /// location recognises storage-rest.
    WritingToLocation,
    /// `PUSH_TO_RHDH` without `BKSTG_URL`
    BackstageByRoute,
}

impl Flow {
    /// Goes through it; an error says where it got stuck.
    pub(crate) async fn run(self, world: &World) -> Result<(), String> {
        match self {
            Self::FirstSync => first_sync(world).await,
            Self::RegistriesByRoutes => registries_by_routes(world).await,
            Self::NamedRoute => named_route(world).await,
            Self::RegistryBehindProxy => registry_behind_proxy(world).await,
            Self::InferenceServices => inference_services(world).await,
            Self::LlmInferenceServices => llm_inference_services(world).await,
            Self::InternalAddresses => internal_addresses(world).await,
            Self::Authentication => authentication(world).await,
            Self::NamespaceOwners => namespace_owners(world).await,
            Self::Storage => storage(world).await,
            Self::WritingToStorage => writing(world, "normalizer", "storage-rest").await,
            Self::WritingToLocation => writing(world, "storage-rest", "location").await,
            Self::BackstageByRoute => backstage_by_route(world).await,
        }
    }
}

// --- Registries ---

/// A registry with a model.
async fn registry(model: &str) -> ScriptedRegistry {
    let registry = ScriptedRegistry::start().await;
    let id = registry.edit().create_model(model, json!({}));
    registry.edit().create_version(&id, "v1", json!({}));
    registry
}

fn service(name: &str, component: &str, registry: &ScriptedRegistry) -> Value {
    registry_service(REGISTRIES, name, component, "http-api", Some(&registry.address().to_string()))
}

/// A Route without TLS, which the scripted registry does not speak.
fn plain(mut route: Value) -> Value {
    route["spec"].as_object_mut().unwrap().remove("tls");
    route
}

async fn shows_model(world: &World, model: &str) -> Result<(), String> {
    let uri = format!("/{model}/v1/model-catalog.json");
    world.reaches(&uri, async || listed(world, &uri).await).await
}

async fn listed(world: &World, uri: &str) -> Result<(), String> {
    let documents = world.documents().await?;
    if documents.contains_key(uri) { Ok(()) } else { Err(format!("{:?} are listed", documents.keys())) }
}

async fn first_sync(world: &World) -> Result<(), String> {
    let registry = registry("granite").await;
    world.kube.apply(service("main", "model-registry", &registry));
    world.start_all(&[]).await;
    shows_model(world, "granite").await
}

/// What was found is gone for certain only when everything could be looked at.
pub(crate) async fn a_registry_goes(world: &World) -> Result<(), String> {
    let registry = registry("granite").await;
    world.kube.apply(service("main", "model-registry", &registry));
    world.start_all(&[("SOURCE_GRACE", "0s")]).await;
    shows_model(world, "granite").await?;
    world.kube.delete("Service", REGISTRIES, "main");
    world
        .reaches("its entries are gone", async || {
            let documents = world.documents().await?;
            if documents.is_empty() { Ok(()) } else { Err(format!("{:?} are listed", documents.keys())) }
        })
        .await
}

async fn registries_by_routes(world: &World) -> Result<(), String> {
    let registry = registry("granite").await;
    world.kube.apply(plain(registry_route(REGISTRIES, "main-rest", &registry.address().to_string())));
    world.start_all(&[]).await;
    shows_model(world, "granite").await
}

async fn named_route(world: &World) -> Result<(), String> {
    let registry = registry("granite").await;
    world.kube.apply(plain(route(REGISTRIES, "main", &registry.address().to_string())));
    world.start_all(&[("MR_ROUTE", &format!("{REGISTRIES}:main"))]).await;
    shows_model(world, "granite").await
}

/// The proxy asks the cluster whether the token's account may `get` the registry's Service.
async fn registry_behind_proxy(world: &World) -> Result<(), String> {
    let registry = registry("granite").await;
    world.kube.apply(service("main", "model-registry", &registry));
    let is_let_in = world.may("normalizer", "get", "services", REGISTRIES, "main").await;
    registry.require_token(Some(&if is_let_in { cluster_token("normalizer") } else { "of-somebody-else".to_owned() }));
    world.start_all(&[]).await;
    world
        .reaches("the registry is read", async || {
            let refused = registry.requests().len() > 3;
            match listed(world, "/granite/v1/model-catalog.json").await {
                Err(_) if refused && !is_let_in => Ok(Err("the proxy answers 401".to_owned())),
                seen => seen.map(Ok),
            }
        })
        .await?
}

// --- What is watched ---

/// Waits for `first`, makes a change, and waits for `second`, which a watch must have shown: no list came in between.
async fn watched(
    world: &World,
    plural: &str,
    first: impl Fn(&[Value]) -> bool,
    change: impl FnOnce(),
    second: impl Fn(&[Value]) -> bool,
) -> Result<(), String> {
    let shows = async |wanted: &dyn Fn(&[Value]) -> bool| {
        let documents: Vec<Value> = world.documents().await?.into_values().collect();
        if wanted(&documents) { Ok(()) } else { Err(format!("{documents:?}")) }
    };
    world.reaches(&format!("what {plural} say is shown"), async || shows(&first).await).await?;
    let before = world.lists(plural);
    change();
    world.reaches(&format!("a change of {plural} is shown"), async || shows(&second).await).await?;
    match world.lists(plural) - before {
        0 => Ok(()),
        more => Err(format!("{plural} are not watched, but were listed {more} times more")),
    }
}

fn model<'a>(documents: &'a [Value], name: &str) -> Option<&'a Value> {
    documents.iter().find(|document| items(&document["models"]).any(|model| model["name"] == name))
}

async fn inference_services(world: &World) -> Result<(), String> {
    let apply = |name| world.kube.apply(InferenceService::new(MODELS, name).build());
    apply("first");
    world.start_all(&[]).await;
    let shows = |name| move |all: &[Value]| model(all, name).is_some();
    watched(world, "inferenceservices", shows("ai-models-first"), || drop(apply("second")), shows("ai-models-second"))
        .await
}

async fn llm_inference_services(world: &World) -> Result<(), String> {
    let apply = |name| world.kube.apply(llm_inference_service("v1alpha2", MODELS, name, "hf://example/model"));
    apply("first");
    world.start_all(&[]).await;
    let shows = |name| move |all: &[Value]| model(all, name).is_some();
    let change = || drop(apply("second"));
    watched(world, "llminferenceservices", shows("ai-models-first"), change, shows("ai-models-second")).await
}

async fn internal_addresses(world: &World) -> Result<(), String> {
    let first = world.kube.apply(InferenceService::new(MODELS, "first").build());
    let second = world.kube.apply(InferenceService::new(MODELS, "second").build());
    world.kube.apply(predictor_service(&first, 8081));
    world.start_all(&[]).await;
    let shows = |name: &'static str, port: &'static str| {
        move |all: &[Value]| model(all, name).is_some_and(|document| document.to_string().contains(port))
    };
    let change = || drop(world.kube.apply(predictor_service(&second, 8082)));
    watched(world, "services", shows("ai-models-first", ":8081"), change, shows("ai-models-second", ":8082")).await
}

async fn authentication(world: &World) -> Result<(), String> {
    let first = world.kube.apply(InferenceService::new(MODELS, "first").build());
    let second = world.kube.apply(InferenceService::new(MODELS, "second").build());
    world.kube.apply(owned_service_account(&first, "first-sa"));
    world.start_all(&[]).await;
    let asks = |name: &'static str| {
        move |all: &[Value]| model(all, name).is_some_and(|document| document["modelServer"]["authentication"] == true)
    };
    let change = || drop(world.kube.apply(owned_service_account(&second, "second-sa")));
    watched(world, "serviceaccounts", asks("ai-models-first"), change, asks("ai-models-second")).await
}

async fn namespace_owners(world: &World) -> Result<(), String> {
    let own = |owner: &str| {
        world.kube.edit("Namespace", "", MODELS, |namespace| {
            namespace["metadata"]["annotations"] = json!({"rhdh.io/owner": owner});
        });
    };
    own("team-a");
    world.kube.apply(InferenceService::new(MODELS, "first").build());
    world.start_all(&[]).await;
    let owned = |owner: &'static str| {
        move |all: &[Value]| {
            model(all, "ai-models-first").is_some_and(|document| document["models"][0]["owner"] == owner)
        }
    };
    watched(world, "namespaces", owned("team-a"), || own("team-b"), owned("team-b")).await
}

// --- What is stored, and who writes ---

/// Three entries that no single ConfigMap holds; a restart finds them again, and another one is written.
async fn storage(world: &World) -> Result<(), String> {
    let running = world.start_storage(&[]).await;
    let write = async |key: &str, length: usize| {
        let body = testkit::noisy_text(length);
        world
            .reaches(&format!("{key} is stored"), async || {
                match world.upsert("storage-rest", "normalizer", key, &body).await? {
                    (200 | 201, _) => Ok(()),
                    (status, said) => Err(format!("{status} {said}")),
                }
            })
            .await
    };
    for key in ["a_1", "b_1", "c_1"] {
        write(key, 400 << 10).await?;
    }
    let maps = world.kube.list_objects("ConfigMap").len();
    if maps < 2 {
        return Err(format!("{maps} ConfigMaps"));
    }
    running.trigger();
    world
        .reaches("storage-rest has stopped", async || {
            world.stored().await.err().map_or_else(|| Err("it answers".to_owned()), |_| Ok(()))
        })
        .await?;
    world.start_storage(&[]).await;
    world
        .reaches("everything is found again", async || match world.stored().await? {
            keys if keys == ["a_1", "b_1", "c_1"] => Ok(()),
            keys => Err(format!("{keys:?}")),
        })
        .await?;
    write("d_1", 10).await
}

async fn writing(world: &World, writer: &str, service: &str) -> Result<(), String> {
    world.start_storage(&[]).await;
    world.start_location(&[]).await;
    let body = r#"{"models": []}"#;
    world
        .reaches(&format!("{service} lets {writer} write"), async || {
            match world.upsert(service, writer, "a_1", body).await? {
                (200 | 201, _) => Ok(()),
                (status, said) => Err(format!("{status} {said}")),
            }
        })
        .await
}

async fn backstage_by_route(world: &World) -> Result<(), String> {
    let backstage = ScriptedBackstage::start().await;
    let mut route = plain(route(&world.namespace, "backstage-developer-hub", backstage.url().authority()));
    route["metadata"]["labels"] = json!({"app.kubernetes.io/name": "backstage"});
    world.kube.apply(route);
    let yaml = ("NORMALIZER_FORMAT", "CatalogInfoYamlFormat");
    world.start_storage(&[("PUSH_TO_RHDH", "true"), yaml]).await;
    world.start_location(&[yaml]).await;
    let body =
        "apiVersion: backstage.io/v1alpha1\nkind: Resource\nmetadata: {name: a-1}\nspec: {type: ai-model, owner: a}\n";
    world
        .reaches("the entry is registered", async || {
            let (status, said) = world.upsert("storage-rest", "normalizer", "a_1", body).await?;
            match backstage.targets().len() {
                1 => Ok(()),
                count => Err(format!("{count} locations; storage-rest says {status} {said}")),
            }
        })
        .await
}
