//! Connections of the scripted registry. They are served by hand so that a request can be answered with a reset, and
//! so that stopping cuts what is open.

use std::{convert::Infallible, error::Error, future::poll_fn, pin::Pin, sync::Arc};

use axum::{Router, body::Body};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};
use tower::ServiceExt;

use super::{
    Fault, RecordedRequest,
    fault::{answer, cut, half, status_with},
    script::Script,
};

#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) router: Router,
    pub(super) script: Arc<Script>,
}

/// The request is to end in a reset of its connection.
#[derive(Debug, thiserror::Error)]
#[error("reset as the test asked")]
struct Reset;

/// Serves connections until `stopped`, then cuts all of them.
pub(super) async fn accept(listener: TcpListener, service: Service, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, service.clone()));
                }
            }
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, service: Service) {
    let handler = hyper::service::service_fn(move |request: Request<Incoming>| {
        let service = service.clone();
        let response: Pin<Box<dyn Future<Output = _> + Send>> =
            Box::pin(async move { service.respond(request.map(Body::new)).await });
        response
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), handler);
    let ended = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let is_reset = |error: hyper::Error| error.source().is_some_and(<dyn Error>::is::<Reset>);
    if ended.is_err_and(is_reset) {
        let stream = connection.into_parts().io.into_inner();
        stream.set_zero_linger().ok();
    }
}

impl Service {
    async fn respond(&self, request: Request<Body>) -> Result<Response<Body>, Reset> {
        let recorded = RecordedRequest {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
        };
        match self.script.observe(recorded) {
            None => Ok(self.truth(request).await),
            Some(fault) => self.fail(fault, request).await,
        }
    }

    async fn fail(&self, fault: Fault, request: Request<Body>) -> Result<Response<Body>, Reset> {
        const JSON: &str = "application/json";
        Ok(match fault {
            Fault::Status(code) => {
                let body = format!(r#"{{"code":"{code}","message":"fault injected: status {code}"}}"#);
                answer(code, JSON, body)
            }
            Fault::StatusWith { code, headers, body } => status_with(code, headers, body),
            Fault::Html => answer(
                200,
                "text/html; charset=utf-8",
                "<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>Log in</body></html>",
            ),
            Fault::Garbage => answer(200, JSON, &b"\x00\xffnot json"[..]),
            Fault::HalfPage => half(&self.body(request).await),
            Fault::CutBody => cut(&self.body(request).await),
            Fault::WrongTypes => answer(200, JSON, r#"{"items":"none","nextPageToken":7,"pageSize":"x","size":[]}"#),
            Fault::Empty200 => answer(200, JSON, ""),
            Fault::Reset => return Err(Reset),
            Fault::Hang => std::future::pending().await,
            Fault::Delay(delay) => {
                tokio::time::sleep(delay).await;
                self.truth(request).await
            }
        })
    }

    async fn truth(&self, request: Request<Body>) -> Response<Body> {
        let answered: Result<_, Infallible> = self.router.clone().oneshot(request).await;
        match answered {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn body(&self, request: Request<Body>) -> bytes::Bytes {
        let body = self.truth(request).await.into_body();
        body.collect().await.expect("the sample registry's body").to_bytes()
    }
}
