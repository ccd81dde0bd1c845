//! The same for clients that are made of tower services, as those of clusters are.

use std::task::{Context, Poll};
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::{Calls, Company, Ended, Outgoing};

/// Puts what is seen of requests around a client.
#[derive(Debug, Clone)]
pub struct CallsLayer(Calls);

impl CallsLayer {
    /// Tells of requests as `calls` does.
    pub const fn new(calls: Calls) -> Self {
        Self(calls)
    }
}

impl<S> Layer<S> for CallsLayer {
    type Service = CallsService<S>;

    fn layer(&self, inner: S) -> CallsService<S> {
        CallsService { inner, calls: self.0.clone() }
    }
}

/// A client whose requests are seen.
#[derive(Debug, Clone)]
pub struct CallsService<S> {
    inner: S,
    calls: Calls,
}

impl<S, A, B> Service<Request<A>> for CallsService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Send,
    B: Send,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let Some(observer) = self.calls.0.clone() else { return self.inner.call(request).boxed() };
        let began = Instant::now();
        let uri = request.uri();
        let outgoing = Outgoing { method: request.method(), host: uri.host(), path: uri.path() };
        let Company { span, headers } = observer.begins(outgoing);
        request.headers_mut().extend(headers);
        let answer = span.in_scope(|| self.inner.call(request)).instrument(span.clone());
        async move {
            let result = answer.await;
            let status = result.as_ref().ok().map(Response::status);
            observer.ended(Ended { status, elapsed: began.elapsed() }, &span);
            result
        }
        .boxed()
    }
}
