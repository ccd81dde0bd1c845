//! Connections in the clear or encrypted, as one type.

use std::io;

use axum_server::accept::{Accept, NoDelayAcceptor};
use axum_server::tls_rustls::RustlsAcceptor;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::net::TcpStream;
use tokio_util::either::Either;

type Encrypted = RustlsAcceptor<NoDelayAcceptor>;
type EncryptedStream<S> = <Encrypted as Accept<TcpStream, S>>::Stream;

/// How connections are taken.
#[derive(Debug, Clone)]
pub(super) enum Transport {
    /// As they are.
    Plain,
    /// With a certificate. Each handshake has its own task and time limit, so that a slow one holds up no other.
    Encrypted(Encrypted),
}

impl<S: Send + 'static> Accept<TcpStream, S> for Transport {
    type Stream = Either<TcpStream, EncryptedStream<S>>;
    type Service = S;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        match self {
            Self::Plain => {
                let accepted = NoDelayAcceptor::new().accept(stream, service);
                async { accepted.await.map(|(stream, service)| (Either::Left(stream), service)) }.boxed()
            }
            Self::Encrypted(acceptor) => {
                let accepted = acceptor.accept(stream, service);
                async { accepted.await.map(|(stream, service)| (Either::Right(stream), service)) }.boxed()
            }
        }
    }
}
