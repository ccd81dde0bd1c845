//! The REST API: every operation of the Kubeflow Model Registry's, in its two versions, with health and documentation.
//!
//! Nothing here is written for one kind of resource. Which paths there are follows from [`route`], what bodies may hold and
//! what answers do from the tables of [`crate::model`], and the OpenAPI document from both.

mod body;
mod conditional;
mod decode;
mod docs;
mod encode;
mod failure;
mod handle;
mod health;
mod listing;
mod metadata;
mod openapi;
mod params;
mod route;
mod told;
mod version;

pub use failure::Failure;
pub(crate) use params::Params;
pub(crate) use told::{Told, told};
pub use version::Version;

use axum::Router;
use axum::extract::Request;
use axum::routing::{MethodFilter, on};
use http::Method;
use service::Readiness;
use service::server::ErrorShape;
use utoipa_axum::router::OpenApiRouter;

use crate::store::Store;
use handle::Api;

/// What the answers of this API look like that report an error.
pub fn errors() -> ErrorShape {
    ErrorShape { body: failure::of_server, schema: openapi::error }
}

/// The operations on what `store` keeps, in both versions of the API. Who asks is taken from a request's extension of the
/// type [`crate::store::Actor`].
pub fn registry(store: &Store) -> OpenApiRouter {
    let mut router = Router::new();
    for version in Version::ALL {
        for route in route::routes(version) {
            let (api, asks) = (Api { store: store.clone(), version }, route.asks);
            let handler = move |request: Request| {
                let api = api.clone();
                async move { api.answer(asks, request).await }
            };
            router = router.route(&route.path, on(filter(&route.method), handler));
        }
    }
    let mut described = OpenApiRouter::from(router);
    *described.get_openapi_mut() = openapi::document();
    described
}

/// What there is besides: whether the registry is ready, as a path of any beginning; pages that show the API; and that
/// nothing else is there.
pub fn surroundings(readiness: Readiness) -> Router {
    docs::router().merge(health::router(readiness))
}

fn filter(method: &Method) -> MethodFilter {
    match *method {
        Method::POST => MethodFilter::POST,
        Method::PATCH => MethodFilter::PATCH,
        _ => MethodFilter::GET,
    }
}
