//! What `object_store` reports, as failures.

use std::error::Error;

use object_store::Error as StoreError;

use crate::{Failure, Kind};

/// What an error about the object, or the prefix, means.
pub(super) fn translated(locator: &str, error: StoreError) -> Failure {
    if let Some(failure) = own(&error) {
        return Failure { what: format!("{locator}: {}", failure.what), ..failure.clone() };
    }
    match error {
        StoreError::InvalidPath { source } => {
            let what = format!("{locator}: a key makes no path: {source}");
            Failure::new(Kind::Integrity, what, "copy the object to a key without `//`, `.` and `..`")
        }
        StoreError::NotFound { .. } => {
            Failure::new(Kind::NotFound, format!("{locator} is not there"), "see whether the key is right")
        }
        StoreError::Precondition { .. } => {
            let what = format!("{locator} has changed since it was listed");
            Failure::new(Kind::Integrity, what, "start again, when nobody writes it")
        }
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => Failure::new(
            Kind::Permission,
            format!("{locator} may not be read"),
            "see whether the credentials are right",
        ),
        error => {
            let what = format!("{locator}: {}", reasons(&error));
            Failure::new(Kind::Unavailable, what, "see whether the endpoint is an object store of this kind")
        }
    }
}

/// What our transport has put into the error.
fn own<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Failure> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(failure) = error.downcast_ref() {
            return Some(failure);
        }
        next = error.source();
    }
    None
}

/// The innermost reason, which says most. What is around it may have a URL, and so a query.
fn reasons(error: &dyn Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// An error while a store is set up: something in the environment.
pub(super) fn misconfigured(name: &str, error: &StoreError) -> Failure {
    let what = format!("{name}: {}", reasons(error));
    Failure::new(Kind::Usage, what, "see whether the credentials and the endpoint in the environment are right")
}
