//! Paths as no client library would send them. A segment is decoded once and is then looked up in a map: nothing that it
//! may hold leads to a file, or to an entry of another name.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::{Kind, Location, Storage, document};
use model_catalog::render::Format;
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn location() -> Location {
    let storage = Storage::start(Kind::Ours).await;
    storage.put("m_v1", &document("the entry"));
    storage.put("a.b_v1", &document("the dotted"));
    Location::loaded(Format::ModelCatalogJson, &storage).await
}

/// The status of the answer, and all of it.
async fn ask(location: &Location, path: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(location.address()).await.unwrap();
    let request = [b"GET ", path, b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"].concat();
    stream.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    (status, answer)
}

#[rstest]
#[case::parent(b"/../../etc/passwd")]
#[case::parent_in_place_of_a_model(b"/../v1/model-catalog.json")]
#[case::encoded_parent(b"/%2e%2e/%2e%2e/model-catalog.json")]
#[case::encoded_twice(b"/%252e%252e/v1/model-catalog.json")]
#[case::entry_encoded_twice(b"/%256d/v1/model-catalog.json")]
#[case::encoded_slash(b"/m%2fv1/model-catalog.json")]
#[case::slash_within_a_name(b"/m%2Fv1/v1/model-catalog.json")]
#[case::backslash(b"/m%5cv1/v1/model-catalog.json")]
#[case::nul(b"/m%00/v1/model-catalog.json")]
#[case::nul_behind(b"/m/v1/model-catalog.json%00.html")]
#[case::no_utf8(b"/m%ff/v1/model-catalog.json")]
#[case::overlong(b"/%c0%ae%c0%ae/v1/model-catalog.json")]
#[case::surrogate(b"/%ed%a0%80/v1/model-catalog.json")]
#[case::incomplete_escape(b"/m%/v1/model-catalog.json")]
#[case::incomplete_escape_of_two(b"/m%2/v1/model-catalog.json")]
#[case::no_digits(b"/m%zz/v1/model-catalog.json")]
#[case::empty_segment(b"//v1/model-catalog.json")]
#[case::another_file(b"/m/v1/secrets.yaml")]
#[case::file_of_the_machine(b"/etc/passwd/model-catalog.json")]
#[case::key_of_nobody(b"/modelcard?key=..%2f..%2fetc%2fpasswd")]
#[case::raw_bytes(b"/m\xff/v1/model-catalog.json")]
#[case::raw_nul(b"/m\0/v1/model-catalog.json")]
#[tokio::test]
async fn no_path_but_an_entrys_own_leads_anywhere(#[case] path: &[u8]) {
    let location = location().await;
    let (status, answer) = ask(&location, path).await;
    assert!(status == 400 || status == 404, "{}: {answer}", String::from_utf8_lossy(path));
    assert!(!answer.contains("the entry") && !answer.contains("root:"), "{answer}");
    location.stop().await;
}

#[rstest]
#[case::plain(b"/m/v1/model-catalog.json", "the entry")]
#[case::encoded_once(b"/%6d/%76%31/model-catalog.json", "the entry")]
#[case::dots(b"/a.b/v1/model-catalog.json", "the dotted")]
#[case::alias(b"/models//m/v1/model-catalog.json", "the entry")]
#[tokio::test]
async fn a_segment_is_decoded_once(#[case] path: &[u8], #[case] expected: &str) {
    let location = location().await;
    let (status, answer) = ask(&location, path).await;
    assert!(status == 200 && answer.contains(expected), "{answer}");
    location.stop().await;
}

#[tokio::test]
async fn a_path_of_60_kb_is_no_entry() {
    let location = location().await;
    let path = format!("/{}/v1/model-catalog.json", "%41".repeat(20_000));
    assert_eq!(ask(&location, path.as_bytes()).await.0, 404);
    location.stop().await;
}
