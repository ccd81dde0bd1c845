//! The same for clients that are made of tower services, as those of clusters are.

use std::task::{Context, Poll};
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use tower::{Layer, Service};

use super::Calls;

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

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (calls, began) = (self.calls.clone(), Instant::now());
        let answer = self.inner.call(request);
        async move {
            let result = answer.await;
            calls.ended(result.as_ref().ok().map(Response::status), began);
            result
        }
        .boxed()
    }
}
