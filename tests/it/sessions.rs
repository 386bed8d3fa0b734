//! The list of a user's sessions, and how sessions end.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::service::{ApiResponse, PASSWORD, RequestExt, Service, Session};

impl Service {
    async fn login_by(&self, username: &str, user_agent: &[u8]) -> Session {
        let form = serde_json::json!({ "username": username, "password": PASSWORD });
        let request = self.post("/user/login").header("User-Agent", user_agent);
        Session::of(request.json(&form).submit().await.succeeded())
    }

    async fn sessions(&self, session: &Session) -> Vec<Value> {
        let response = self
            .get("/user/sessions")
            .with_session(session)
            .submit()
            .await;
        response.succeeded().data().as_array().unwrap().clone()
    }

    async fn end(&self, session: &Session, id: &str) -> ApiResponse {
        let path = format!("/user/sessions/{id}");
        let request = self.request(Method::DELETE, &path);
        request.with_session(session).submit().await
    }
}

fn id(session: &Value) -> &str {
    session["id"].as_str().unwrap()
}

#[tokio::test]
async fn own_sessions_are_listed_most_recently_used_first() {
    let service = Service::start().await;
    service.register("someone").await.succeeded();
    service.user("other").await;
    let phone = service.login_by("someone", b"Phone/1.0").await;
    service.advance(Duration::from_secs(3600));
    let laptop = service
        .login_by("someone", b"Laptop/2.0 (a tab\tand \xe2\x9c\x93)")
        .await;
    service.advance(Duration::from_secs(60));
    let renewed = service
        .post("/user/refresh")
        .header("Refresh-Token", &phone.refresh);
    let phone = Session::of(renewed.submit().await.succeeded());
    let listed = service.sessions(&phone).await;
    insta::assert_json_snapshot!(listed, { "[].id" => "[id]" });
    // Identifiers exceed 2^53, the limit of exact JavaScript numbers.
    assert!(id(&listed[0]).parse::<i64>().unwrap() > 1 << 53);
    assert_eq!(
        service.sessions(&laptop).await[0]["user_agent"],
        "Laptop/2.0 (a taband ✓)"
    );
}

#[tokio::test]
async fn last_use_of_a_session_is_recorded_once_per_minute() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let last_used = async || service.sessions(&session).await[0]["last_used_at"].clone();
    assert_eq!(last_used().await, "2026-05-01 08:00:00");
    service.advance(Duration::from_millis(59_999));
    last_used().await;
    assert_eq!(last_used().await, "2026-05-01 08:00:00");
    service.advance(Duration::from_millis(1));
    last_used().await;
    assert_eq!(last_used().await, "2026-05-01 08:01:00");
}

#[tokio::test]
async fn a_long_user_agent_is_truncated() {
    let service = Service::start().await;
    service.register("someone").await.succeeded();
    let session = service.login_by("someone", &[b'x'; 5000]).await;
    let listed = service.sessions(&session).await;
    assert_eq!(listed[0]["user_agent"], "x".repeat(255));
}

#[tokio::test]
async fn an_ended_session_is_invalid_at_once_and_the_others_stay_valid() {
    let service = Service::start().await;
    let here = service.user("someone").await;
    let there = service.login_by("someone", b"There").await;
    let listed = service.sessions(&here).await;
    let other = listed.iter().find(|session| session["current"] == false);
    let other = id(other.unwrap());
    service.end(&here, other).await.succeeded();
    service.assert_signed_out(&there).await;
    let refresh = service
        .post("/user/refresh")
        .header("Refresh-Token", &there.refresh);
    refresh.submit().await.refused("token_invalid");
    assert_eq!(service.sessions(&here).await.len(), 1);
    service.end(&here, other).await.refused("session_not_found");
}

#[tokio::test]
async fn ending_the_current_session_returns_no_tokens() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let listed = service.sessions(&session).await;
    service.advance(Duration::from_secs(15 * 60));
    let path = format!("/user/sessions/{}", id(&listed[0]));
    let request = service
        .request(Method::DELETE, &path)
        .header("Refresh-Token", &session.refresh);
    let response = request.submit().await;
    assert!(!response.succeeded().headers.contains_key("refresh-token"));
    let refresh = service
        .post("/user/refresh")
        .header("Refresh-Token", &session.refresh);
    refresh.submit().await.refused("token_invalid");
}

#[tokio::test]
async fn a_session_of_another_user_cannot_be_ended() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let other = service.user("other").await;
    let others = service.sessions(&other).await;
    for id in [
        id(&others[0]),
        "1",
        "-1",
        "x",
        "99999999999999999999",
        "%ff",
    ] {
        service.end(&session, id).await.refused("session_not_found");
    }
    service.info(&other).await;
    let problem = service
        .request(Method::DELETE, "/user/sessions/1")
        .with_session(&session)
        .header("Accept", "application/problem+json");
    assert_eq!(problem.submit().await.status, StatusCode::NOT_FOUND);
    for (method, path) in [
        (Method::GET, "/user/sessions"),
        (Method::DELETE, "/user/sessions/1"),
    ] {
        let request = service.request(method, path);
        request.submit().await.refused("token_missing");
    }
}

#[tokio::test]
async fn an_expired_session_is_not_listed() {
    let service = Service::start().await;
    service.user("someone").await;
    service.advance(Duration::from_secs(30 * 24 * 60 * 60));
    let session = Session::of(service.login("someone", PASSWORD).await.succeeded());
    assert_eq!(service.sessions(&session).await.len(), 1);
}

#[tokio::test]
async fn a_session_ended_on_one_node_is_invalid_on_all_nodes_at_once() {
    let service = Service::start().await;
    let node = service.second_node().await;
    let assert_ended = async |session: &Session| {
        let requests = [
            (Method::GET, "/user/info"),
            (Method::PUT, "/user/avatar/upload"),
        ];
        for (method, path) in requests {
            let request = node.request(method, path).with_session(session);
            request.submit().await.refused("token_invalid");
        }
        let refresh = node
            .post("/user/refresh")
            .header("Refresh-Token", &session.refresh);
        refresh.submit().await.refused("token_invalid");
    };
    let first = service.user("someone").await;
    let second = Session::of(service.login("someone", PASSWORD).await.succeeded());
    node.info(&first).await;
    let logout = service.post("/user/logout").with_session(&first);
    logout.submit().await.succeeded();
    assert_ended(&first).await;
    node.info(&second).await;

    let form = serde_json::json!({ "old_password": PASSWORD, "new_password": PASSWORD });
    let change = service
        .request(Method::PUT, "/user/password")
        .with_session(&second);
    let third = Session::of(change.json(&form).submit().await.succeeded());
    assert_ended(&second).await;
    node.info(&third).await;

    let delete = service
        .request(Method::DELETE, "/user")
        .with_session(&third);
    delete.submit().await.succeeded();
    assert_ended(&third).await;
}
