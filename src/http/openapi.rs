//! The OpenAPI document.
//!
//! It is written by hand, because parts of the contract existed before the code. Tests compare it
//! with the code.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::app::App;

/// The document in the repository.
const DOCUMENT: &str = include_str!("../../openapi.json");

/// `GET /openapi.json`
pub(super) async fn serve(State(app): State<App>) -> Json<Value> {
    Json(document(app.public_url()))
}

/// Returns the document with `public_url` among its servers.
///
/// The URL becomes the first server, unless the document already has it.
#[must_use]
pub fn document(public_url: &str) -> Value {
    // Tests parse the same text, so the default is never used.
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap_or_default();
    if let Some(servers) = document.get_mut("servers").and_then(Value::as_array_mut)
        && !servers.iter().any(|server| server["url"] == public_url)
    {
        servers.insert(0, json!({ "url": public_url, "description": "本服务" }));
    }
    document
}
