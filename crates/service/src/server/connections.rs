//! Connections: how many there may be, and that nobody keeps one by not reading what is answered.
//!
//! Beyond the limit connections are not refused but wait where the system keeps them, before they cost anything here: a
//! reader that opens one for each entry at once is slowed down, not turned away.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_server::accept::Accept;
use futures::future::{BoxFuture, FutureExt as _, Map};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::PollSemaphore;
use tower::Service;

/// Gives each connection a turn, and takes no further one while there are none left.
pub(super) struct Turns<M> {
    make: M,
    free: PollSemaphore,
    next: Option<OwnedSemaphorePermit>,
}

impl<M> Turns<M> {
    pub(super) fn new(make: M, connections: usize) -> Self {
        let turns = Arc::new(Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS)));
        Self { make, free: PollSemaphore::new(turns), next: None }
    }
}

type Taken<S, E> = Result<InTurn<S>, E>;
type Take<S, E> = Box<dyn FnOnce(Result<S, E>) -> Taken<S, E> + Send>;

impl<T, M> Service<T> for Turns<M>
where
    M: Service<T>,
    M::Error: 'static,
    M::Response: 'static,
{
    type Response = InTurn<M::Response>;
    type Error = M::Error;
    type Future = Map<M::Future, Take<M::Response, M::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.next.is_none() {
            self.next = ready!(self.free.poll_acquire(context));
        }
        self.make.poll_ready(context)
    }

    fn call(&mut self, target: T) -> Self::Future {
        let turn = Arc::new(self.next.take());
        self.make.call(target).map(Box::new(move |made| made.map(|service| InTurn { service, _turn: turn })))
    }
}

/// What answers on one connection, and its turn, which ends with it.
#[derive(Debug, Clone)]
pub(super) struct InTurn<S> {
    service: S,
    _turn: Arc<Option<OwnedSemaphorePermit>>,
}

impl<R, S: Service<R>> Service<R> for InTurn<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.service.call(request)
    }
}

/// Gives a connection up on which nothing can be written for a while.
#[derive(Debug, Clone)]
pub(super) struct Impatient<A> {
    accept: A,
    patience: Duration,
}

impl<A> Impatient<A> {
    pub(super) fn new(accept: A, patience: Duration) -> Self {
        Self { accept, patience }
    }
}

/// A connection on which writing may not take for ever.
pub(super) type Timed<I> = Pin<Box<TimeoutWriter<I>>>;

impl<I, S, A> Accept<I, S> for Impatient<A>
where
    A: Accept<I, S>,
    A::Future: Future<Output = io::Result<(A::Stream, A::Service)>> + Send + 'static,
    A::Stream: AsyncRead + AsyncWrite,
{
    type Stream = Timed<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let (accepted, patience) = (self.accept.accept(stream, service), self.patience);
        async move {
            let (stream, service) = accepted.await?;
            let mut timed = TimeoutWriter::new(stream);
            timed.set_timeout(Some(patience));
            Ok((Box::pin(timed), service))
        }
        .boxed()
    }
}
