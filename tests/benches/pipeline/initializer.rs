//! What a download costs: the real binary against an S3 server in this process, beside a plain parallel download from the
//! same server, and beside KServe's own program where there is a Python.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use system_tests::{Process, Settings, binary};
use testkit::s3::S3Server;
use testkit::{eventually, free_port, noise};

use crate::table::{Table, mebibytes, median, millis, seconds};

const BUCKET: &str = "models";
const LARGE: usize = 1 << 30;
const SMALL: usize = 100 << 10;
const FILES: u32 = 10_000;
/// The large object by what is known of it: where it is, how it is verified, and the aim.
const CHECKSUMS: [(&str, &str, &str); 3] = [
    ("crc", "verified by its CRC-64", "80 % of plain"),
    ("parts", "by the MD5s of its parts", ""),
    ("md5", "by its MD5", ""),
];
/// What the plain download asks for at a time, and in how many requests.
const RANGE: usize = 8 << 20;
const CONNECTIONS: usize = 8;
const RUNS: usize = 3;
const RESOLUTIONS: usize = 21;
const DEADLINE: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One end of a download, and what it took.
struct Run {
    took: Duration,
    /// In KiB; 0 where it was not looked at.
    peak: u64,
}

pub(crate) async fn measure(table: &mut Table) {
    let server = S3Server::start().await.without_records();
    // One body for all objects: it is not copied, and the server needs no more memory than it.
    let body = Bytes::from(noise(LARGE));
    let crc = crc_fast::checksum(CrcAlgorithm::Crc64Nvme, &body).to_be_bytes();
    let told = [("x-amz-checksum-crc64nvme", STANDARD.encode(crc)), ("x-amz-checksum-type", "FULL_OBJECT".to_owned())];
    let told = told.each_ref().map(|(name, value)| (*name, value.as_str()));
    let etag = upload_in_parts(&server, &body).await;
    server.put_with_headers(BUCKET, "crc/model.safetensors", body.clone(), &etag, &told);
    server.put_with_etag(BUCKET, "parts/model.safetensors", body.clone(), &etag);
    server.put(BUCKET, "md5/model.safetensors", body.clone());
    for number in 0..FILES {
        let at = number as usize * SMALL % (LARGE - SMALL);
        server.put(BUCKET, &format!("small/{:03}/{number:05}.bin", number / 100), body.slice(at..at + SMALL));
    }
    let python = kserve();
    large(table, &server, python.as_deref()).await;
    small(table, &server, python.as_deref());
    resolution(table).await;
}

async fn large(table: &mut Table, server: &S3Server, python: Option<&Path>) {
    eprintln!("1 GiB in one object");
    let (mut plain, mut ours, mut theirs) = (Vec::new(), CHECKSUMS.map(|_| Vec::new()), Vec::new());
    for _ in 0..RUNS {
        plain.push(plain_download(server).await);
        for (prefix, runs) in CHECKSUMS.iter().zip(&mut ours) {
            runs.push(initializer(server, prefix.0));
        }
        theirs.extend(python.and_then(|python| kserve_download(python, server, CHECKSUMS[0].0)));
    }
    let plain = median(plain);
    let medians = ours.each_ref().map(|runs| median(runs.iter().map(|run| run.took)));
    for ((_, what, aim), took) in CHECKSUMS.iter().zip(medians) {
        let share = plain.as_secs_f64() / took.as_secs_f64() * 100.0;
        let what = format!("download of 1 GiB in one object, {what}");
        table.add(&what, aim, format!("{} ({share:.0} %)", seconds(took)));
    }
    table.add("- plain: 8 connections, ranges of 8 MiB, nothing verified", "", seconds(plain));
    table.add("- peak memory", "64 MiB", mebibytes(ours.iter().map(|runs| peak(runs)).max().unwrap_or_default()));
    beside(table, medians[0], &theirs);
}

/// Uploads in parts, as clients of S3 do; answers the ETag that comes of it.
async fn upload_in_parts(server: &S3Server, body: &Bytes) -> String {
    let http = system_tests::http();
    let url = server.url().join("models/upload").unwrap();
    let begun = http.post(format!("{url}?uploads")).send().await.unwrap().text().await.unwrap();
    let id = begun.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
    for (index, start) in (0..body.len()).step_by(RANGE).enumerate() {
        let part = body.slice(start..body.len().min(start + RANGE));
        let part = http.put(format!("{url}?partNumber={}&uploadId={id}", index + 1)).body(part);
        part.send().await.unwrap().error_for_status().unwrap();
    }
    http.post(format!("{url}?uploadId={id}")).timeout(DEADLINE).send().await.unwrap().error_for_status().unwrap();
    let head = http.head(url).send().await.unwrap();
    server.remove(BUCKET, "upload");
    head.headers()["etag"].to_str().unwrap().to_owned()
}

fn small(table: &mut Table, server: &S3Server, python: Option<&Path>) {
    eprintln!("10,000 objects of 100 KiB");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        ours.push(initializer(server, "small"));
        // It takes long.
        theirs.extend(python.filter(|_| run == 0).and_then(|python| kserve_download(python, server, "small")));
    }
    let took = median(ours.iter().map(|run| run.took));
    let rate = f64::from(FILES) / took.as_secs_f64();
    table.add("download of 10,000 objects of 100 KiB, verified", "2,000 a second", format!("{rate:.0} a second"));
    table.add("- peak memory", "64 MiB", mebibytes(peak(&ours)));
    beside(table, took, &theirs);
}

fn beside(table: &mut Table, took: Duration, theirs: &[Duration]) {
    if theirs.is_empty() {
        return;
    }
    let theirs = median(theirs.iter().copied());
    let ratio = theirs.as_secs_f64() / took.as_secs_f64();
    table.add(
        "- the same by KServe's own, nothing verified",
        "slower",
        format!("{} ({ratio:.1} x ours)", seconds(theirs)),
    );
}

/// The whole process, from its start to its end.
async fn resolution(table: &mut Table) {
    eprintln!("resolutions");
    let scratch = tempfile::tempdir().unwrap();
    let port = free_port();
    let settings = Settings::from([
        ("MR_PORT".to_owned(), port.to_string()),
        ("MR_DATA_DIR".to_owned(), scratch.path().display().to_string()),
    ]);
    let _registry = Process::start("model-registry", &["proxy"], &settings);
    let http = system_tests::http();
    let base = format!("http://127.0.0.1:{port}/api/model_registry/v1alpha3");
    let post = async |path: &str, body: serde_json::Value| {
        let answer = http.post(format!("{base}/{path}")).json(&body).send().await.map_err(|error| error.to_string())?;
        let answer = answer.error_for_status().map_err(|error| error.to_string())?;
        answer.json::<serde_json::Value>().await.map_err(|error| error.to_string())
    };
    let model = eventually(DEADLINE, "the registry takes a model", async || {
        post("registered_models", serde_json::json!({"name": "granite"})).await
    })
    .await;
    for number in 0..20 {
        let version = serde_json::json!({"name": format!("v{number}"), "registeredModelId": model["id"]});
        let version = post("model_versions", version).await.unwrap();
        let artifact =
            serde_json::json!({"artifactType": "model-artifact", "name": "granite", "uri": "s3://models/crc"});
        post(&format!("model_versions/{}/artifacts", version["id"].as_str().unwrap()), artifact).await.unwrap();
    }
    let uri = format!("model-registry://127.0.0.1:{port}/granite");
    let times = (0..RESOLUTIONS).map(|_| {
        let began = Instant::now();
        let status = Command::new(binary("storage-initializer"))
            .args([uri.as_str(), "/does/not/matter", "--resolve-only"])
            .env_clear()
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "the model is not resolved");
        began.elapsed()
    });
    let times: Vec<Duration> = times.collect();
    table.add("resolve model-registry://, the whole process", "20 ms", millis(median(times)));
}

/// As quickly as it goes, without a look at what comes.
async fn plain_download(server: &S3Server) -> Duration {
    let scratch = tempfile::tempdir().unwrap();
    let file = Arc::new(File::create(scratch.path().join("model.safetensors")).unwrap());
    let url = server.url().join("models/crc/model.safetensors").unwrap();
    let http = system_tests::http();
    let began = Instant::now();
    stream::iter((0..LARGE).step_by(RANGE))
        .map(async |start| {
            let range = format!("bytes={start}-{}", start + RANGE - 1);
            let mut answer = http.get(url.clone()).header("range", range).send().await?.error_for_status()?;
            let mut at = start as u64;
            while let Some(chunk) = answer.chunk().await? {
                file.write_all_at(&chunk, at).unwrap();
                at += chunk.len() as u64;
            }
            Ok::<(), reqwest::Error>(())
        })
        .buffer_unordered(CONNECTIONS)
        .try_collect::<Vec<()>>()
        .await
        .unwrap();
    began.elapsed()
}

fn environment(server: &S3Server) -> [(&'static str, String); 5] {
    [
        ("AWS_ACCESS_KEY_ID", "bench".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "bench".to_owned()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ("AWS_ENDPOINT_URL", server.url().as_str().trim_end_matches('/').to_owned()),
        ("S3_VERIFY_SSL", "0".to_owned()),
    ]
}

fn initializer(server: &S3Server, prefix: &str) -> Run {
    let scratch = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let mut child = Command::new(binary("storage-initializer"))
        .args([format!("s3://{BUCKET}/{prefix}").as_ref(), scratch.path().as_os_str()])
        .env_clear()
        .envs(environment(server))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_of(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    assert!(status.success(), "the storage initializer ended with {status}");
    Run { took: began.elapsed(), peak }
}

/// The most resident memory so far, in KiB; 0 when the process is gone.
fn peak_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

fn peak(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.peak).max().unwrap_or_default()
}

/// The Python that has KServe's program.
fn kserve() -> Option<std::path::PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/kserve/setup.sh");
    let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "KServe's storage initializer could not be installed");
    let python = String::from_utf8(output.stdout).unwrap();
    let python = python.trim();
    (!python.is_empty()).then(|| python.into())
}

fn kserve_download(python: &Path, server: &S3Server, prefix: &str) -> Option<Duration> {
    let scratch = tempfile::tempdir().unwrap();
    let program = "import sys; from kserve_storage import Storage; Storage.download(sys.argv[1], sys.argv[2])";
    let began = Instant::now();
    let output = Command::new(python)
        .args(["-c", program, &format!("s3://{BUCKET}/{prefix}")])
        .arg(scratch.path())
        .envs(environment(server))
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let took = began.elapsed();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        eprintln!("  KServe's storage initializer ended with {}: it is not compared: {last}", output.status);
    }
    output.status.success().then_some(took)
}
