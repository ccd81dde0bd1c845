//! Servers behind TLS, with a certificate that nobody vouches for.

use std::net::TcpListener;

use axum::Router;
use axum_server::tls_rustls::RustlsConfig;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use url::Url;

/// A running server; it ends with the runtime.
#[derive(Debug)]
pub struct TlsServer {
    /// Where it is, by the name that its certificate is for.
    pub url: Url,
    /// Its certificate, as PEM.
    pub certificate: String,
}

/// Serves `router` on a free port of the loopback, with a certificate for `name`: `localhost`, or `127.0.0.1`.
pub async fn serve(name: &str, router: Router) -> TlsServer {
    // Another provider may be there already; it is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
    let config = RustlsConfig::from_pem(certificate.clone().into(), key.into()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = Url::parse(&format!("https://{name}:{}", listener.local_addr().unwrap().port())).unwrap();
    let server = axum_server::from_tcp_rustls(listener, config).unwrap();
    tokio::spawn(server.serve(router.into_make_service()));
    TlsServer { url, certificate }
}
