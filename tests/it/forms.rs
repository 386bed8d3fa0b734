//! Request bodies of forms: the supported content types, and the refusal of malformed bodies.

use reqwest::multipart;
use serde_json::json;

use crate::service::{PASSWORD, RequestExt, Service};

#[tokio::test]
async fn forms_are_read_as_json_urlencoded_and_multipart() {
    let service = Service::start().await;
    let form = |name: &str| {
        [
            ("username", name.to_owned()),
            ("password", PASSWORD.to_owned()),
            ("other", "ignored".to_owned()),
        ]
    };
    let json = json!({ "username": "json", "password": PASSWORD, "other": [1, null] });
    service
        .post("/user/register")
        .json(&json)
        .submit()
        .await
        .succeeded();
    service
        .post("/user/register")
        .form(&form("urlencoded"))
        .submit()
        .await
        .succeeded();
    let parts = form("multipart")
        .into_iter()
        .fold(multipart::Form::new(), |form, (name, text)| {
            form.text(name, text)
        });
    service
        .post("/user/register")
        .multipart(parts)
        .submit()
        .await
        .succeeded();
    for name in ["json", "urlencoded", "multipart"] {
        service.login(name, PASSWORD).await.succeeded();
    }
}

#[tokio::test]
async fn malformed_forms_are_refused_with_their_reason() {
    let service = Service::start().await;
    let send = async |media_type: &str, body: &str| {
        let request = service
            .post("/user/login")
            .header("Content-Type", media_type);
        let response = request
            .header("Accept-Language", "en")
            .body(body.to_owned())
            .submit()
            .await;
        let base = &response.body["base"];
        assert_eq!(response.status, 200);
        format!(
            "{}: {}",
            base["reason"].as_str().unwrap(),
            base["msg"].as_str().unwrap()
        )
    };
    let json = "application/json";
    let urlencoded = "application/x-www-form-urlencoded";
    let large = format!(r#"{{"username":"{}"}}"#, "x".repeat(70_000));
    let outcomes = [
        send(json, "").await,
        send(json, "{").await,
        send(json, "[]").await,
        send(json, "{}").await,
        send(json, r#"{"username":5,"password":"x"}"#).await,
        send(json, r#"{"username":"x","password":null}"#).await,
        send(json, r#"{"username":"x","username":"y","password":"z"}"#).await,
        send(json, &large).await,
        send(urlencoded, "username=x").await,
        send(urlencoded, "username=x&username=y&password=z").await,
        send(urlencoded, "username=%FF%FE&password=z").await,
        send("multipart/form-data", "").await,
        send("multipart/form-data; boundary=", "").await,
        send("multipart/form-data; boundary=B", "--B\r\n").await,
        send("text/plain", "username=x").await,
        send("nonsense", "username=x").await,
    ];
    insta::assert_json_snapshot!(outcomes);
}

#[tokio::test]
async fn a_form_without_a_content_type_is_refused() {
    let service = Service::start().await;
    service
        .post("/user/login")
        .body("{}")
        .submit()
        .await
        .refused("unsupported_content_type");
}
