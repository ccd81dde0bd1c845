#![allow(clippy::panic, reason = "a test that is set up wrongly should stop at once")]

use std::net::SocketAddr;
use std::time::Instant;

use axum::Router;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::http_client::{TlsSettings, client};
use crate::{Listen, ServerBuilder, Shutdown};

/// Longer than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// Who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key for a name.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

struct Server {
    directory: TempDir,
    address: SocketAddr,
    shutdown: Shutdown,
    task: JoinHandle<io::Result<()>>,
}

fn files(directory: &TempDir) -> Files {
    Files { cert: directory.path().join("tls.crt"), key: directory.path().join("tls.key") }
}

fn write(directory: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

impl Server {
    async fn start(pair: (String, String)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write(&directory, "tls.crt", &pair.0);
        write(&directory, "tls.key", &pair.1);
        let tls = ServerTls::new(files(&directory), Duration::from_millis(10)).unwrap();
        let router = Router::new().route("/hello", get(async || "hello"));
        let listen = Listen { address: ([127, 0, 0, 1], 0).into(), setting: "--listen-address" };
        let bound = ServerBuilder::new("sample").router(router).tls(Some(tls)).bind(listen).await.unwrap();
        let (address, shutdown) = (bound.local_addr(), Shutdown::new());
        let task = tokio::spawn(bound.serve(shutdown.clone()));
        Self { directory, address, shutdown, task }
    }

    /// As someone who trusts `pem` as an authority, with a connection of its own.
    async fn ask(&self, pem: &str, path: &str) -> Result<String, String> {
        let ca_file = Some(write(&self.directory, "trusted.pem", pem));
        self.ask_with(&TlsSettings { ca_file, ..TlsSettings::default() }, path).await
    }

    async fn ask_with(&self, tls: &TlsSettings, path: &str) -> Result<String, String> {
        let client = client(tls, "sample").map_err(|error| error.to_string())?;
        let url = format!("https://localhost:{}{path}", self.address.port());
        let answer = client.get(url).send().await.map_err(|error| format!("{error:?}"))?;
        answer.text().await.map_err(|error| format!("{error:?}"))
    }

    async fn stop(self) {
        self.shutdown.trigger();
        self.task.await.unwrap().unwrap();
    }
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < deadline, "this did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn https_is_served_to_those_who_trust_the_authority_and_to_no_one_else() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Server::start(authority.sign("localhost")).await;
    assert_eq!(server.ask(&authority.pem(), "/hello").await.unwrap(), "hello");
    for distrusting in
        [server.ask(&other.pem(), "/hello").await, server.ask_with(&TlsSettings::default(), "/hello").await]
    {
        let error = distrusting.unwrap_err();
        assert!(error.contains("InvalidCertificate"), "{error}");
    }
    let careless = TlsSettings { insecure_skip_verify: true, ..TlsSettings::default() };
    assert_eq!(server.ask_with(&careless, "/hello").await.unwrap(), "hello");
    let metrics = server.ask(&authority.pem(), "/metrics").await.unwrap();
    assert!(metrics.contains("sample_tls_certificate_expiry_timestamp_seconds "), "{metrics}");
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_unless_it_is_known_itself() {
    let authority = Authority::new();
    let server = Server::start(authority.sign("bridge.example.com")).await;
    assert!(server.ask(&authority.pem(), "/hello").await.is_err());
    let known = |path| TlsSettings { server_certificate: Some(path), ..TlsSettings::default() };
    assert_eq!(server.ask_with(&known(files(&server.directory).cert), "/hello").await.unwrap(), "hello");
    let another = write(&server.directory, "another.crt", &authority.sign("localhost").0);
    assert!(server.ask_with(&known(another), "/hello").await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_that_rotates_is_served_and_half_of_one_is_not() {
    let (first, second) = (Authority::new(), Authority::new());
    let server = Server::start(first.sign("localhost")).await;
    let (certificate, key) = second.sign("localhost");
    write(&server.directory, "tls.crt", &certificate);
    // The key is still the old one: many looks later the old pair is served.
    for _ in 0..20 {
        assert_eq!(server.ask(&first.pem(), "/hello").await.unwrap(), "hello");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    write(&server.directory, "tls.key", &key);
    eventually("the new certificate is served", async || server.ask(&second.pem(), "/hello").await.is_ok()).await;
    assert!(server.ask(&first.pem(), "/hello").await.is_err());
    std::fs::remove_file(files(&server.directory).cert).unwrap();
    assert_eq!(server.ask(&second.pem(), "/hello").await.unwrap(), "hello");
    server.stop().await;
}

#[tokio::test]
async fn a_client_in_use_trusts_what_its_file_says_now() {
    let (first, second) = (Authority::new(), Authority::new());
    let server = Server::start(second.sign("localhost")).await;
    let trusted = write(&server.directory, "rotating.pem", &first.pem());
    let tls = TlsSettings { ca_file: Some(trusted), ..TlsSettings::default() };
    let client = client(&tls, "sample").unwrap();
    let url = format!("https://localhost:{}/hello", server.address.port());
    assert!(client.get(&url).send().await.is_err());
    write(&server.directory, "rotating.pem", "nonsense");
    assert!(client.get(&url).send().await.is_err());
    write(&server.directory, "rotating.pem", &format!("{}{}", first.pem(), second.pem()));
    eventually("the new authority is trusted", async || client.get(&url).send().await.is_ok()).await;
    server.stop().await;
}

/// A volume of Kubernetes with several bundles holds links to files, which lead through `..data`.
#[tokio::test]
async fn authorities_may_be_in_several_files_of_a_directory() {
    let (first, second, former) = (Authority::new(), Authority::new(), Authority::new());
    let server = Server::start(second.sign("localhost")).await;
    let volume = tempfile::tempdir().unwrap();
    let data = volume.path().join("..data");
    std::fs::create_dir(&data).unwrap();
    // Without a line's end, as some write it.
    std::fs::write(data.join("cluster.crt"), first.pem().trim_end()).unwrap();
    std::fs::write(data.join("service-ca.crt"), former.pem()).unwrap();
    for name in ["cluster.crt", "service-ca.crt"] {
        std::os::unix::fs::symlink(data.join(name), volume.path().join(name)).unwrap();
    }
    let tls = TlsSettings { ca_file: Some(volume.path().to_owned()), ..TlsSettings::default() };
    let client = client(&tls, "sample").unwrap();
    let url = format!("https://localhost:{}/hello", server.address.port());
    assert!(client.get(&url).send().await.is_err());
    std::fs::write(data.join("service-ca.crt"), second.pem()).unwrap();
    eventually("the new authority is trusted", async || client.get(&url).send().await.is_ok()).await;
    server.stop().await;
}

#[tokio::test]
async fn whoever_does_not_shake_hands_holds_up_no_one() {
    let authority = Authority::new();
    let server = Server::start(authority.sign("localhost")).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, plain.read_to_end(&mut answer)).await.unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains("hello"));
    assert_eq!(server.ask(&authority.pem(), "/hello").await.unwrap(), "hello");
    drop(silent);
    server.stop().await;
}

#[test]
fn what_cannot_be_served_is_an_error_that_names_setting_and_file() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (certificate, key) = authority.sign("localhost");
    let (_, other_key) = authority.sign("localhost");
    let at = |name: &str, text: &str| Some(write(&directory, name, text));
    let (cert, key, other) = (at("a.crt", &certificate), at("a.key", &key), at("b.key", &other_key));
    let (empty, junk) =
        (at("empty", ""), at("junk", "-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----\n"));
    let missing = Some(directory.path().join("missing"));
    let load = |tls_cert: &Option<PathBuf>, tls_key: &Option<PathBuf>| {
        ServerTlsSettings { tls_cert: tls_cert.clone(), tls_key: tls_key.clone() }.load()
    };
    assert!(load(&None, &None).unwrap().is_none());
    assert!(load(&cert, &key).unwrap().is_some());
    for (tls_cert, tls_key, said) in [
        (&cert, &None, ["TLS_CERT", "TLS_KEY"]),
        (&None, &key, ["TLS_CERT", "TLS_KEY"]),
        (&missing, &key, ["TLS_CERT", "missing"]),
        (&cert, &missing, ["TLS_KEY", "missing"]),
        (&empty, &key, ["TLS_CERT", "no PEM certificate"]),
        (&cert, &empty, ["TLS_KEY", "no PEM private key"]),
        (&cert, &junk, ["TLS_KEY", "junk"]),
        (&key, &cert, ["TLS_CERT", "no PEM certificate"]),
        (&cert, &other, ["a.crt", "b.key"]),
    ] {
        let error = load(tls_cert, tls_key).unwrap_err().to_string();
        assert!(said.iter().all(|text| error.contains(text)) && !error.contains("planted"), "{error}");
    }
}
