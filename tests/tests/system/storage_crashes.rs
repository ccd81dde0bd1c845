//! storage-rest is killed again and again while it is written to: what it acknowledged is there after each start, and
//! nothing is there by halves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bridge_api::messages::KeyList;
use bridge_api::{PostBody, StorageBody, content_digest};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rstest::rstest;
use serde_json::json;
use system_tests::{EmptyStorage, Process, SOON, Settings, StorageKind, http, port};
use testkit::eventually;

const ROUNDS: usize = 15;
const KEYS: usize = 40;
const SEED: u64 = 20_261_121;

/// What a key may hold: one value when the last write was acknowledged, several when it may or may not have been done.
/// A value is the number of the write that made it; `None` is no entry.
type Possible = BTreeMap<String, BTreeSet<Option<u64>>>;

/// What a write with this number stores: sizes differ, and the model card tells when it is not of the same write.
fn content(key: &str, write: u64) -> PostBody {
    let size = usize::try_from(write * 7_919 % 6_000).unwrap();
    PostBody {
        body: format!("# {key} {write}\n{}", "x".repeat(size)).into_bytes(),
        model_card_key: format!("card-{key}"),
        model_card: format!("card of {key} {write} {}", "y".repeat(size / 3)),
        ..PostBody::default()
    }
}

struct Client {
    http: reqwest::Client,
    url: String,
    possible: Possible,
    writes: u64,
    acknowledged: usize,
    rng: StdRng,
}

impl Client {
    fn key(number: usize) -> String {
        format!("model-{number}_v1")
    }

    /// Writes several entries at once, until the service is gone.
    async fn write_until_it_is_gone(&mut self) {
        loop {
            let is_there =
                if self.rng.random_ratio(1, 6) { self.remove_some().await } else { self.upsert_some().await };
            if !is_there {
                return;
            }
        }
    }

    async fn upsert_some(&mut self) -> bool {
        let keys: BTreeSet<String> =
            (0..self.rng.random_range(1..12)).map(|_| Self::key(self.rng.random_range(0..KEYS))).collect();
        let mut writes = Vec::new();
        for key in keys {
            self.writes += 1;
            self.possible.get_mut(&key).unwrap().insert(Some(self.writes));
            writes.push((key, self.writes));
        }
        let sent = writes.into_iter().map(|(key, write)| {
            let url = format!("{}/upsert?key={key}&type=kubeflow", self.url);
            let request = self.http.post(url).json(&content(&key, write));
            async move { (key, write, request.send().await.is_ok_and(|answer| answer.status().is_success())) }
        });
        let mut all = true;
        for (key, write, acknowledged) in join_all(sent).await {
            all &= acknowledged;
            if acknowledged {
                self.acknowledged += 1;
                self.possible.insert(key, BTreeSet::from([Some(write)]));
            }
        }
        all
    }

    /// A key set without a few of the keys.
    async fn remove_some(&mut self) -> bool {
        let gone: BTreeSet<String> = (0..4).map(|_| Self::key(self.rng.random_range(0..KEYS))).collect();
        let kept: Vec<String> = self.possible.keys().filter(|key| !gone.contains(*key)).cloned().collect();
        for key in &gone {
            self.possible.get_mut(key).unwrap().insert(None);
        }
        let url = format!("{}/currentkeyset", self.url);
        let sent = self.http.post(url).json(&json!({ "keys": kept })).send().await;
        let acknowledged = sent.is_ok_and(|answer| answer.status().is_success());
        if acknowledged {
            self.acknowledged += 1;
            self.possible.extend(gone.into_iter().map(|key| (key, BTreeSet::from([None]))));
        }
        acknowledged
    }

    /// Compares all that is stored with what may be, and takes it for what is.
    async fn verify(&mut self) {
        let list = format!("{}/list?details=true", self.url);
        let list: KeyList = self.http.get(list).send().await.unwrap().json().await.unwrap();
        let listed: BTreeMap<String, _> =
            list.entries.unwrap().into_iter().map(|entry| (entry.key, entry.digest)).collect();
        for (key, possible) in &mut self.possible {
            let fetched = self.http.get(format!("{}/fetch?key={key}", self.url)).send().await.unwrap();
            let stored =
                if fetched.status() == 404 { None } else { Some(fetched.json::<StorageBody>().await.unwrap()) };
            let write = stored.as_ref().map(|stored| {
                let text = String::from_utf8(stored.body.clone()).unwrap();
                let write: u64 = text.lines().next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
                let whole = content(key, write);
                let card = (&stored.model_card_key, &stored.model_card);
                assert!(
                    stored.body == whole.body && card == (&whole.model_card_key, &whole.model_card),
                    "half of {key}"
                );
                let digest = content_digest(&whole.body, &whole.model_card_key, &whole.model_card);
                assert_eq!(listed.get(key), Some(&digest), "{key}");
                write
            });
            assert!(possible.contains(&write), "{key} is {write:?}, which is none of {possible:?}");
            assert_eq!(listed.contains_key(key), write.is_some(), "{key}");
            *possible = BTreeSet::from([write]);
        }
    }
}

async fn start(settings: &Settings, url: &str, http: &reqwest::Client) -> Process {
    let process = Process::start("storage-rest", &[], settings);
    eventually(SOON, "storage-rest is ready", async || {
        let ready = http.get(format!("{url}/readyz")).send().await;
        ready.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    process
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_any_kill(
    #[values(StorageKind::ConfigMap, StorageKind::Sqlite, StorageKind::Postgres, StorageKind::GitHub)]
    kind: StorageKind,
) {
    let Some(storage) = EmptyStorage::of(kind).await else { return };
    let address = format!("127.0.0.1:{}", port());
    let mut settings = storage.settings().clone();
    settings.insert("STORAGE_LISTEN_ADDRESS".to_owned(), address.clone());
    // Nobody is there: what is stored does not wait for it.
    settings.insert("LOCATION_URL".to_owned(), "http://127.0.0.1:9".to_owned());
    let mut client = Client {
        http: http(),
        url: format!("http://{address}"),
        possible: (0..KEYS).map(|number| (Client::key(number), BTreeSet::from([None]))).collect(),
        writes: 0,
        acknowledged: 0,
        rng: StdRng::seed_from_u64(SEED),
    };
    for round in 0..ROUNDS {
        let mut process = start(&settings, &client.url, &client.http).await;
        client.verify().await;
        let moment = Duration::from_millis(client.rng.random_range(1..250));
        let kill = async {
            tokio::time::sleep(moment).await;
            process.kill();
        };
        let before = client.acknowledged;
        tokio::join!(client.write_until_it_is_gone(), kill);
        println!("round {round}: killed after {moment:?}, {} acknowledged", client.acknowledged - before);
    }
    let _process = start(&settings, &client.url, &client.http).await;
    client.verify().await;
    assert!(client.acknowledged > ROUNDS, "the service was killed too early to acknowledge much");
}
