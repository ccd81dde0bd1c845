//! A container registry of one repository.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::hex;
use super::server::{Asked, Server, file, status};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

pub(crate) const REPOSITORY: &str = "team/model";

/// What the registry has.
#[derive(Default, Clone)]
pub(crate) struct Images {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, (String, Vec<u8>)>,
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

impl Images {
    pub(crate) fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        self.blobs.insert(digest.clone(), bytes.to_vec());
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// A file of an artifact.
    pub(crate) fn titled(&mut self, title: &str, bytes: &[u8]) -> Value {
        let mut layer = self.blob("application/octet-stream", bytes);
        layer["annotations"] = json!({ "org.opencontainers.image.title": title });
        layer
    }

    pub(crate) fn image(&mut self, reference: &str, layers: &[Value]) -> Value {
        let config = self.blob(CONFIG, b"{}");
        self.manifest(reference, MANIFEST, &json!({ "schemaVersion": 2, "config": config, "layers": layers }))
    }

    pub(crate) fn artifact(&mut self, reference: &str, layers: &[Value]) -> Value {
        let config = self.blob("application/vnd.oci.empty.v1+json", b"{}");
        self.manifest(reference, MANIFEST, &json!({ "schemaVersion": 2, "config": config, "layers": layers }))
    }

    /// A manifest, under a tag and under its digest: its descriptor.
    pub(crate) fn manifest(&mut self, reference: &str, media_type: &str, manifest: &Value) -> Value {
        let body = manifest.to_string().into_bytes();
        let digest = digest(&body);
        for name in [reference, &digest] {
            self.manifests.insert(name.to_owned(), (media_type.to_owned(), body.clone()));
        }
        json!({ "mediaType": media_type, "digest": digest, "size": body.len() })
    }

    /// What comes under that digest is something else.
    pub(crate) fn corrupt(&mut self, digest: &str) {
        let blob = self.blobs.get_mut(digest).map(|blob| &mut blob[..]);
        let bytes = blob.unwrap_or_else(|| &mut self.manifests.get_mut(digest).unwrap().1[..]);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    }

    pub(crate) fn remove(&mut self, digest: &str) {
        assert!(self.blobs.remove(digest).is_some());
    }

    pub(crate) fn answer(&self, asked: &Asked) -> Response {
        let prefix = format!("/v2/{REPOSITORY}/");
        let Some((kind, reference)) = asked.path.strip_prefix(&prefix).and_then(|rest| rest.split_once('/')) else {
            return status(StatusCode::BAD_REQUEST);
        };
        match kind {
            "manifests" => match self.manifests.get(reference) {
                Some((media_type, body)) => {
                    ([(header::CONTENT_TYPE, media_type.clone())], body.clone()).into_response()
                }
                None => unknown("MANIFEST_UNKNOWN"),
            },
            _ => match self.blobs.get(reference) {
                Some(blob) => file(asked, blob),
                None => unknown("BLOB_UNKNOWN"),
            },
        }
    }

    /// A registry that anybody may ask.
    pub(crate) async fn serve(self) -> Server {
        Server::start(move |asked| self.answer(asked)).await
    }

    /// A registry that wants a token for this scope, which is had with this authorisation. Each token is good for so many
    /// requests.
    pub(crate) async fn serve_with_tokens(self, authorization: Option<&'static str>, uses: usize) -> Server {
        let address = Arc::new(Mutex::new(None));
        let known = Arc::clone(&address);
        let issued = Mutex::new((0, 0));
        let server = Server::start(move |asked| {
            let mut issued = issued.lock().unwrap();
            if asked.path.starts_with("/token?") {
                assert_eq!(asked.path, format!("/token?service=registry&scope=repository%3A{}%3Apull", "team%2Fmodel"));
                if asked.authorization() != authorization {
                    return status(StatusCode::UNAUTHORIZED);
                }
                *issued = (issued.0 + 1, uses);
                return json!({ "token": format!("t{}", issued.0) }).to_string().into_response();
            }
            if issued.1 > 0 && asked.authorization() == Some(&format!("Bearer t{}", issued.0)) {
                issued.1 -= 1;
                return self.answer(asked);
            }
            let realm = format!("http://{}/token", known.lock().unwrap().unwrap());
            let challenge =
                format!(r#"Bearer realm="{realm}",service="registry",scope="repository:{REPOSITORY}:pull""#);
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
        })
        .await;
        *address.lock().unwrap() = Some(server.address);
        server
    }

    /// A registry that wants a name and a password.
    pub(crate) async fn serve_with_password(self, authorization: &'static str) -> Server {
        Server::start(move |asked| {
            if asked.authorization() == Some(authorization) {
                return self.answer(asked);
            }
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"registry\"")]).into_response()
        })
        .await
    }

    /// A registry whose blobs are at another server.
    pub(crate) async fn serve_with_storage(self) -> (Server, Server) {
        let images = self.clone();
        let storage = Server::start(move |asked| images.answer(asked)).await;
        let address = storage.address;
        let server = Server::start(move |asked| {
            if asked.authorization().is_none() {
                return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"x\"")]).into_response();
            }
            if asked.path.contains("/blobs/") {
                let location = format!("http://{address}{}", asked.path);
                return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response();
            }
            self.answer(asked)
        })
        .await;
        (server, storage)
    }
}

fn unknown(code: &str) -> Response {
    let body = json!({ "errors": [{ "code": code, "message": "not known to the registry" }] }).to_string();
    (StatusCode::NOT_FOUND, body).into_response()
}
