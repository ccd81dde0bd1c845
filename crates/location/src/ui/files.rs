//! The style, the script and the icon of the pages.

use axum::extract::State;
use axum::response::Response;
use bridge_api::Digest;

use super::Ui;
use crate::representation::{Representation, Wanted};

/// Files that are served as they are.
#[derive(Debug)]
pub(super) struct Files {
    style: Representation,
    script: Representation,
    icon: Representation,
}

impl Default for Files {
    fn default() -> Self {
        let file = |text: &str| Representation::new(text.as_bytes().to_vec(), Digest::of(text.as_bytes()));
        Self {
            style: file(include_str!("assets/style.css")),
            script: file(include_str!("assets/script.js")),
            icon: file(include_str!("assets/icon.svg")),
        }
    }
}

pub(super) async fn style(State(ui): State<Ui>, wanted: Wanted) -> Response {
    ui.files.style.answer("text/css; charset=utf-8", &wanted)
}

pub(super) async fn script(State(ui): State<Ui>, wanted: Wanted) -> Response {
    ui.files.script.answer("text/javascript; charset=utf-8", &wanted)
}

pub(super) async fn icon(State(ui): State<Ui>, wanted: Wanted) -> Response {
    ui.files.icon.answer("image/svg+xml", &wanted)
}
