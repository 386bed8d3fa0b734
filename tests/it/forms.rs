use reqwest::multipart;
use serde_json::json;

use crate::service::{PASSWORD, Send, Service};

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
        .answer()
        .await
        .succeeded();
    service
        .post("/user/register")
        .form(&form("urlencoded"))
        .answer()
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
        .answer()
        .await
        .succeeded();
    for name in ["json", "urlencoded", "multipart"] {
        service.login(name, PASSWORD).await.succeeded();
    }
}

#[tokio::test]
async fn broken_forms_each_have_their_answer() {
    let service = Service::start().await;
    let send = async |media_type: &str, body: &str| {
        let request = service
            .post("/user/login")
            .header("Content-Type", media_type);
        let answer = request
            .header("Accept-Language", "en")
            .body(body.to_owned())
            .answer()
            .await;
        let base = &answer.body["base"];
        assert_eq!(answer.status, 200);
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
async fn a_form_without_a_type_is_refused() {
    let service = Service::start().await;
    service
        .post("/user/login")
        .body("{}")
        .answer()
        .await
        .refused("unsupported_content_type");
}
