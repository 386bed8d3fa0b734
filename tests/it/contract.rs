//! Checks that the OpenAPI document only adds to the seed document and lists exactly the existing
//! routes.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::service::Service;

/// The OpenAPI 3.0.1 document that was given before the service was written.
fn seed() -> Value {
    serde_json::from_str(include_str!("seed.json")).unwrap()
}

/// Collects the JSON paths at which `document` lacks a value of `seed` or has a different one.
fn missing(seed: &Value, document: &Value, path: &str, found: &mut Vec<String>) {
    match (seed, document) {
        (Value::Object(seed), Value::Object(document)) => {
            for (key, value) in seed {
                let path = format!("{path}/{key}");
                match document.get(key) {
                    Some(other) => missing(value, other, &path, found),
                    None => found.push(path),
                }
            }
        }
        (Value::Array(seed), Value::Array(document)) => {
            for (index, value) in seed.iter().enumerate() {
                let present = document.iter().any(|other| {
                    let mut lacks = Vec::new();
                    missing(value, other, "", &mut lacks);
                    lacks.is_empty()
                });
                if !present {
                    found.push(format!("{path}/{index}"));
                }
            }
        }
        (Value::String(empty), Value::String(_)) if empty.is_empty() => {}
        _ if seed == document => {}
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn the_document_differs_from_the_seed_only_by_addition() {
    let document = veraicon::http::openapi_document("http://localhost:10001");
    let mut found = Vec::new();
    missing(&seed(), &document, "", &mut found);
    let allowed = [
        "/openapi",
        // HTTP 200 covers success with `data` and failure without it. The schema lists both as
        // alternatives.
        "/paths//user/avatar/upload/put/responses/200/content/application/json/schema/required/1",
        // No response contains the password.
        "/components/schemas/用户/required/2",
    ];
    let unexpected: Vec<_> = found
        .iter()
        .filter(|path| !allowed.contains(&path.as_str()))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

#[tokio::test]
async fn the_document_is_served_with_this_service_as_the_first_server() {
    let service = Service::start_with(|config| {
        config.server.public_url = Some("https://example.com/douyin".into());
    })
    .await;
    let document: Value = service
        .get("/openapi.json")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], "https://example.com/douyin");
    let in_repository: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    assert_eq!(document["paths"], in_repository["paths"]);
    assert_eq!(document["components"], in_repository["components"]);
}

#[tokio::test]
async fn the_routes_are_exactly_the_operations_of_the_document() {
    let service = Service::start().await;
    let document = veraicon::http::openapi_document("http://localhost:10001");
    for (template, item) in document["paths"].as_object().unwrap() {
        let path = template
            .replace("{id}", "1")
            .replace("{user}/{name}/{file}", "1/x/1.webp");
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
        ] {
            let response = service.request(method.clone(), &path).send().await.unwrap();
            let documented = item.get(method.as_str().to_ascii_lowercase()).is_some();
            let routed = response.status() != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(documented, routed, "{method} {template}");
            if !routed {
                assert!(
                    response.headers().contains_key("allow"),
                    "{method} {template}"
                );
            }
        }
    }
}

#[test]
fn every_reason_is_in_the_document() {
    let document = veraicon::http::openapi_document("http://localhost:10001");
    let reasons = document["components"]["schemas"]["Reason"]["enum"]
        .as_array()
        .unwrap();
    let documented: BTreeSet<_> = reasons.iter().filter_map(Value::as_str).collect();
    let mut used = BTreeSet::new();
    for source in [
        include_str!("../../src/failure.rs"),
        include_str!("../../src/http/error.rs"),
    ] {
        let (_, arms) = source.split_once("const fn reason").unwrap();
        let (arms, _) = arms.split_once("\n    }\n").unwrap();
        used.extend(arms.split('"').skip(1).step_by(2));
    }
    assert_eq!(used, documented);
    assert_eq!(documented.len(), reasons.len(), "a reason is repeated");
}
