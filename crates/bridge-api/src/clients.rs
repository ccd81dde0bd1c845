//! Typed clients of storage and location, for Go services as well as for ours, and of the normalizer's status.
//!
//! A client makes one attempt a call; whether to try again is its caller's decision, for which
//! [`ClientError::is_retryable`] is there. Answers are read up to a limit, and a token only travels in its header.

mod error;
mod location;
mod normalizer;
mod storage;
mod transport;

pub use bearer::TokenSource;
pub use error::ClientError;
pub use location::LocationClient;
pub use normalizer::NormalizerClient;
pub use storage::StorageClient;

/// What an upsert did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upserted {
    /// The key was new.
    Created,
    /// The key was there before.
    Existed,
}
