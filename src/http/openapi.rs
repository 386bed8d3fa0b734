//! The OpenAPI document: written by hand, since the contract came before the code, and held to the code by tests.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::app::App;

/// The document as it stands in the repository.
const DOCUMENT: &str = include_str!("../../openapi.json");

/// `GET /openapi.json`
pub(super) async fn serve(State(app): State<App>) -> Json<Value> {
    Json(document(app.public_url()))
}

/// The document, with the service's own address among its servers: the first, unless it stands there already.
#[must_use]
pub fn document(public_url: &str) -> Value {
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap_or_default();
    if let Some(servers) = document.get_mut("servers").and_then(Value::as_array_mut)
        && !servers.iter().any(|server| server["url"] == public_url)
    {
        servers.insert(0, json!({ "url": public_url, "description": "本服务" }));
    }
    document
}
