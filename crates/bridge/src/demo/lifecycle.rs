//! `demo --lifecycle`: the life of a model, told while it happens: trained, registered, deployed, seen in the portal,
//! followed by a better version, put away.
//!
//! Everything is real but for two peers, which are testkit's: the S3 server, and the Kubernetes API. No model is run:
//! where KServe would start a pod, its init container is run here, and then the service is said to be ready.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use service::Shutdown;
use testkit::kube::samples::InferenceService;

mod world;

use super::DemoArgs;
use world::{BUCKET, NAMESPACE, World};

const MODEL: &str = "granite";
const SERVICE: &str = "granite";
const LABEL: &str = "modelregistry.opendatahub.io";
/// How long anything may take to follow.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Tells the story; ends with an error where it does not come to pass.
pub(super) async fn tell(args: &DemoArgs) -> anyhow::Result<()> {
    let shutdown = Shutdown::new().on_signals();
    let world = World::start(args, &shutdown).await?;
    let told = Box::pin(shutdown.unless(Story::new(&world, args.python.clone()).tell())).await;
    shutdown.trigger();
    let ended = world.end(&shutdown).await;
    told.unwrap_or_else(|| bail!("stopped before the end of the story")).and(ended)
}

/// A version that was registered.
struct Registered {
    model: String,
    version: String,
    name: &'static str,
    files: PathBuf,
}

struct Story<'a> {
    world: &'a World,
    /// An interpreter that has the Model Registry's client.
    python: Option<PathBuf>,
    chapters: u32,
}

impl<'a> Story<'a> {
    const fn new(world: &'a World, python: Option<PathBuf>) -> Self {
        Self { world, python, chapters: 0 }
    }

    async fn tell(mut self) -> anyhow::Result<()> {
        self.chapter("Train");
        let first = self.train("1.0", 3 << 20)?;
        self.chapter("Register");
        let first = self.register("1.0", first).await?;
        self.shown(&first).await?;
        self.chapter("Deploy");
        self.deploy(&first).await?;
        self.chapter("See it in the portal");
        self.served(&first).await?;
        self.chapter("Follow up with a better version");
        let second = self.train("2.0", 5 << 20)?;
        let second = self.register("2.0", second).await?;
        self.promote(&second).await?;
        self.deploy(&second).await?;
        self.served(&second).await?;
        self.chapter("Put the old one away");
        self.archive(&first, &second).await?;
        self.chapter("Take the service down");
        self.take_down().await?;
        self.chapter("What the registry remembers");
        self.history(&first, &second).await
    }

    fn chapter(&mut self, title: &str) {
        self.chapters += 1;
        println!("\n{}. {title}", self.chapters);
    }

    /// Writes what training would leave.
    fn train(&self, version: &str, bytes: usize) -> anyhow::Result<PathBuf> {
        let directory = self.world.scratch().join("trained").join(version);
        std::fs::create_dir_all(directory.join("weights"))?;
        std::fs::write(directory.join("config.json"), json!({"model": MODEL, "version": version}).to_string())?;
        std::fs::write(directory.join("weights/model.safetensors"), testkit::noise(bytes))?;
        say(&format!("version {version}: config.json and {} MiB of weights", bytes >> 20));
        Ok(directory)
    }

    async fn register(&self, name: &'static str, files: PathBuf) -> anyhow::Result<Registered> {
        match &self.python {
            Some(python) => self.register_with_client(python, name, &files).await?,
            None => self.register_with_requests(name, &files).await?,
        }
        let registry = &self.world.registry;
        let model = required(registry.find(&["registered_model"], &[("name", MODEL)]).await?, "the registered model")?;
        let model = text(&model, "id");
        let version = registry.find(&["model_version"], &[("name", name), ("parentResourceId", &model)]).await?;
        let version = text(&required(version, "the model version")?, "id");
        let artifacts = registry.find(&["model_versions", &version, "artifacts"], &[]).await?.unwrap_or_default();
        let uri = text(&artifacts["items"][0], "uri");
        say(&format!("model {MODEL} (id {model}), version {name} (id {version})"));
        say(&format!("artifact {uri}"));
        Ok(Registered { model, version, name, files })
    }

    async fn register_with_client(&self, python: &Path, version: &str, files: &Path) -> anyhow::Result<()> {
        say("with the Model Registry's Python client: upload_artifact_and_register_model(...)");
        let script = self.world.scratch().join("register.py");
        std::fs::write(&script, include_str!("lifecycle/register.py"))?;
        let output = tokio::process::Command::new(python)
            .arg(script)
            .args([self.world.registry_url.as_str(), self.world.s3.url().as_str(), BUCKET, MODEL, version])
            .arg(files)
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("--python: {} cannot be run", python.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the Python client could not register the model: {}", said.trim());
        Ok(())
    }

    /// The same requests as the client's.
    async fn register_with_requests(&self, version: &str, files: &Path) -> anyhow::Result<()> {
        say("with the requests of the Python client (--python PATH runs the client itself)");
        for name in ["config.json", "weights/model.safetensors"] {
            self.world.s3.put(BUCKET, &format!("{MODEL}/{version}/{name}"), std::fs::read(files.join(name))?);
        }
        let registry = &self.world.registry;
        let model = match registry.find(&["registered_model"], &[("name", MODEL)]).await? {
            Some(model) => model,
            None => registry.create(&["registered_models"], &json!({"name": MODEL, "owner": "ada"})).await?,
        };
        let body = json!({"name": version, "registeredModelId": model["id"], "author": "ada"});
        let made = registry.create(&["model_versions"], &body).await?;
        let endpoint = self.world.s3.url();
        let endpoint = endpoint.as_str().trim_end_matches('/');
        let artifact = json!({
            "artifactType": "model-artifact", "name": MODEL,
            "uri": format!("s3://{BUCKET}/{MODEL}/{version}?endpoint={endpoint}&defaultRegion=us-east-1"),
            "modelFormatName": "safetensors", "modelFormatVersion": "1",
        });
        registry.create(&["model_versions", &text(&made, "id"), "artifacts"], &artifact).await?;
        Ok(())
    }

    /// The portal shows the version.
    async fn shown(&self, version: &Registered) -> anyhow::Result<()> {
        let (uri, took) = until(&format!("version {} is served", version.name), async || {
            self.world.viewer.uri_of(MODEL, version.name).await
        })
        .await?;
        say(&format!("the portal shows it after {took}: {}{uri}", self.world.viewer.base()));
        Ok(())
    }

    /// What KServe does: the init container runs, then the service is ready.
    async fn deploy(&self, version: &Registered) -> anyhow::Result<()> {
        let source = format!("model-registry://{}/{MODEL}/{}", self.world.registry_host(), version.name);
        say(&format!("InferenceService {NAMESPACE}/{SERVICE} with storageUri {source}"));
        let service = || {
            InferenceService::new(NAMESPACE, SERVICE)
                .label(&format!("{LABEL}/registered-model-id"), &version.model)
                .label(&format!("{LABEL}/model-version-id"), &version.version)
                .predictor(
                    json!({"model": {"modelFormat": {"name": "safetensors"}, "runtime": "vllm", "storageUri": source}}),
                )
        };
        self.world.kube.apply(service().not_ready().build());

        let destination = self.world.scratch().join("mnt").join(version.name);
        let summary = self.world.initialize(&source, &destination).await?;
        for name in ["config.json", "weights/model.safetensors"] {
            let same = std::fs::read(version.files.join(name))? == std::fs::read(destination.join(name))?;
            ensure!(same, "{name} of version {} was not downloaded as it was uploaded", version.name);
        }
        say(&format!("its init container: {summary}; the files are what was uploaded"));
        self.world.kube.apply(service().build());
        say("it is ready");

        let (record, took) = until("the service is recorded", async || {
            let services = self.world.registry.find(&["inference_services"], &[]).await.ok()??;
            let items = services["items"].as_array()?.clone();
            let is_wanted =
                |record: &Value| record["modelVersionId"] == *version.version && record["desiredState"] == "DEPLOYED";
            items.into_iter().find(is_wanted)
        })
        .await?;
        say(&format!(
            "the reconciler records it in the registry after {took}: inference service {}, version {}, {}",
            text(&record, "id"),
            version.name,
            text(&record, "desiredState")
        ));
        Ok(())
    }

    /// The portal shows the service with the version, and where it is.
    async fn served(&self, version: &Registered) -> anyhow::Result<()> {
        let url = format!("https://{SERVICE}-{NAMESPACE}.apps.example.com");
        let (uri, took) = until(&format!("version {} is shown with its server", version.name), async || {
            let uri = self.world.viewer.uri_of(MODEL, version.name).await?;
            self.world.viewer.document(&uri).await?.contains(&url).then_some(uri)
        })
        .await?;
        say(&format!("the portal shows after {took} that version {} is served at {url}", version.name));
        say(&format!("  curl {}{uri}", self.world.viewer.base()));
        Ok(())
    }

    async fn promote(&self, version: &Registered) -> anyhow::Result<()> {
        let body = json!({"customProperties": {
            "Lifecycle": {"metadataType": "MetadataStringValue", "string_value": "production"},
        }});
        self.world.registry.update(&["model_versions", &version.version], &body).await?;
        let ((), took) = until("the promotion is shown", async || {
            let uri = self.world.viewer.uri_of(MODEL, version.name).await?;
            self.world.viewer.document(&uri).await?.contains("production").then_some(())
        })
        .await?;
        say(&format!("version {} is promoted (Lifecycle=production); the portal says so after {took}", version.name));
        Ok(())
    }

    async fn archive(&self, old: &Registered, new: &Registered) -> anyhow::Result<()> {
        self.world.registry.update(&["model_versions", &old.version], &json!({"state": "ARCHIVED"})).await?;
        let ((), took) = until("the archived version is gone", async || {
            let shown = self.world.viewer.versions_of(MODEL).await?;
            (shown == [new.name]).then_some(())
        })
        .await?;
        say(&format!("version {} is ARCHIVED; the portal is without it after {took}", old.name));
        let source = format!("model-registry://{}/{MODEL}", self.world.registry_host());
        let resolved = self.world.resolve(&source).await?;
        let version = resolved.version.name.as_deref().unwrap_or_default();
        ensure!(version == new.name, "{source} resolves to version {version}");
        say(&format!("{source} now means version {version}: {}", resolved.uri));
        Ok(())
    }

    async fn take_down(&self) -> anyhow::Result<()> {
        self.world.kube.delete("InferenceService", NAMESPACE, SERVICE);
        let ((), took) = until("the service is recorded as gone", async || {
            let services = self.world.registry.find(&["inference_services"], &[]).await.ok()??;
            let deployed =
                services["items"].as_array()?.iter().filter(|record| record["desiredState"] == "DEPLOYED").count();
            (deployed == 0).then_some(())
        })
        .await?;
        say(&format!("its record is UNDEPLOYED after {took}; nothing held up its deletion"));
        Ok(())
    }

    async fn history(&self, old: &Registered, new: &Registered) -> anyhow::Result<()> {
        let registry = &self.world.registry;
        for version in [old, new] {
            let found = required(registry.find(&["model_versions", &version.version], &[]).await?, "the version")?;
            say(&format!("version {}: {}", version.name, text(&found, "state")));
        }
        let changes = required(registry.find(&["changes"], &[("since", "0")]).await?, "the log of changes")?;
        let changes = changes["items"].as_array().cloned().unwrap_or_default();
        ensure!(!changes.is_empty(), "the log of changes is empty");
        say(&format!("{} changes in its log; the last ones:", changes.len()));
        for change in changes.iter().rev().take(5).rev() {
            say(&format!("  {}", told(change)));
        }
        Ok(())
    }
}

/// Waits until `look` finds something; answers it, and how long it took.
async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> anyhow::Result<(T, String)> {
    let begin = Instant::now();
    loop {
        if let Some(found) = look().await {
            return Ok((found, format!("{:.1} s", begin.elapsed().as_secs_f64())));
        }
        ensure!(begin.elapsed() < PATIENCE, "it did not come to pass within {} s that {what}", PATIENCE.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn required(found: Option<Value>, what: &str) -> anyhow::Result<Value> {
    found.with_context(|| format!("{what} is not in the registry"))
}

fn text(record: &Value, field: &str) -> String {
    record[field].as_str().unwrap_or_default().to_owned()
}

/// A change as the log has it, on one line.
fn told(change: &Value) -> String {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = change["detail"]["changed"].as_object().into_iter().flatten();
    let fields: Vec<String> = fields
        .map(|(field, values)| match (&values["from"], &values["to"]) {
            (Value::Null, Value::Null) => field.clone(),
            (from, to) => format!("{field} {} -> {}", plain(from), plain(to)),
        })
        .collect();
    let (kind, name, action) = (text(change, "kind"), text(&change["detail"], "name"), text(change, "action"));
    format!(
        "{} {kind} {name} {action}{}{}",
        text(change, "seq"),
        if fields.is_empty() { "" } else { ": " },
        fields.join(", ")
    )
}

fn say(line: &str) {
    println!("   {line}");
}
