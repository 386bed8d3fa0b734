use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::service::{Answer, PASSWORD, Send, Service, Session};

impl Service {
    async fn login_by(&self, username: &str, user_agent: &[u8]) -> Session {
        let form = serde_json::json!({ "username": username, "password": PASSWORD });
        let request = self.post("/user/login").header("User-Agent", user_agent);
        Session::of(request.json(&form).answer().await.succeeded())
    }

    async fn sessions(&self, session: &Session) -> Vec<Value> {
        let answer = self.get("/user/sessions").with(session).answer().await;
        answer.succeeded().data().as_array().unwrap().clone()
    }

    async fn end(&self, session: &Session, id: &str) -> Answer {
        let path = format!("/user/sessions/{id}");
        let request = self.request(Method::DELETE, &path);
        request.with(session).answer().await
    }
}

fn id(session: &Value) -> &str {
    session["id"].as_str().unwrap()
}

#[tokio::test]
async fn ones_own_sessions_are_listed_with_the_one_used_last_first() {
    let service = Service::start().await;
    service.register("someone").await.succeeded();
    service.user("other").await;
    let phone = service.login_by("someone", b"Phone/1.0").await;
    service.pass(Duration::from_secs(3600));
    let laptop = service
        .login_by("someone", b"Laptop/2.0 (a tab\tand \xe2\x9c\x93)")
        .await;
    service.pass(Duration::from_secs(60));
    let renewed = service
        .post("/user/refresh")
        .header("Refresh-Token", &phone.refresh);
    let phone = Session::of(renewed.answer().await.succeeded());
    let listed = service.sessions(&phone).await;
    insta::assert_json_snapshot!(listed, { "[].id" => "[id]" });
    assert!(id(&listed[0]).parse::<i64>().unwrap() > 1 << 53);
    assert_eq!(
        service.sessions(&laptop).await[0]["user_agent"],
        "Laptop/2.0 (a taband ✓)"
    );
}

#[tokio::test]
async fn a_session_is_last_used_when_its_tokens_last_were_to_the_minute() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let last_used = async || service.sessions(&session).await[0]["last_used_at"].clone();
    assert_eq!(last_used().await, "2026-05-01 08:00:00");
    service.pass(Duration::from_millis(59_999));
    last_used().await;
    assert_eq!(last_used().await, "2026-05-01 08:00:00");
    service.pass(Duration::from_millis(1));
    last_used().await;
    assert_eq!(last_used().await, "2026-05-01 08:01:00");
}

#[tokio::test]
async fn of_a_user_agent_so_much_is_kept() {
    let service = Service::start().await;
    service.register("someone").await.succeeded();
    let session = service.login_by("someone", &[b'x'; 5000]).await;
    let listed = service.sessions(&session).await;
    assert_eq!(listed[0]["user_agent"], "x".repeat(255));
}

#[tokio::test]
async fn a_session_that_is_ended_is_over_at_once_and_the_others_go_on() {
    let service = Service::start().await;
    let here = service.user("someone").await;
    let there = service.login_by("someone", b"There").await;
    let listed = service.sessions(&here).await;
    let other = listed.iter().find(|session| session["current"] == false);
    let other = id(other.unwrap());
    service.end(&here, other).await.succeeded();
    service.shuts_out(&there).await;
    let refresh = service
        .post("/user/refresh")
        .header("Refresh-Token", &there.refresh);
    refresh.answer().await.refused("token_invalid");
    assert_eq!(service.sessions(&here).await.len(), 1);
    service.end(&here, other).await.refused("session_not_found");
}

#[tokio::test]
async fn ending_the_present_session_hands_out_no_tokens() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let listed = service.sessions(&session).await;
    service.pass(Duration::from_secs(15 * 60));
    let path = format!("/user/sessions/{}", id(&listed[0]));
    let request = service
        .request(Method::DELETE, &path)
        .header("Refresh-Token", &session.refresh);
    let answer = request.answer().await;
    assert!(!answer.succeeded().headers.contains_key("refresh-token"));
    let refresh = service
        .post("/user/refresh")
        .header("Refresh-Token", &session.refresh);
    refresh.answer().await.refused("token_invalid");
}

#[tokio::test]
async fn nobody_elses_session_can_be_ended() {
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
        .with(&session)
        .header("Accept", "application/problem+json");
    assert_eq!(problem.answer().await.status, StatusCode::NOT_FOUND);
    for (method, path) in [
        (Method::GET, "/user/sessions"),
        (Method::DELETE, "/user/sessions/1"),
    ] {
        let request = service.request(method, path);
        request.answer().await.refused("token_missing");
    }
}

#[tokio::test]
async fn a_session_whose_time_is_over_is_not_listed() {
    let service = Service::start().await;
    service.user("someone").await;
    service.pass(Duration::from_secs(30 * 24 * 60 * 60));
    let session = Session::of(service.login("someone", PASSWORD).await.succeeded());
    assert_eq!(service.sessions(&session).await.len(), 1);
}

#[tokio::test]
async fn what_ends_a_session_on_one_node_ends_it_at_once_on_all() {
    let service = Service::start().await;
    let node = service.second_node().await;
    let over = async |session: &Session| {
        let requests = [
            (Method::GET, "/user/info"),
            (Method::PUT, "/user/avatar/upload"),
        ];
        for (method, path) in requests {
            let request = node.request(method, path).with(session);
            request.answer().await.refused("token_invalid");
        }
        let refresh = node
            .post("/user/refresh")
            .header("Refresh-Token", &session.refresh);
        refresh.answer().await.refused("token_invalid");
    };
    let first = service.user("someone").await;
    let second = Session::of(service.login("someone", PASSWORD).await.succeeded());
    node.info(&first).await;
    let logout = service.post("/user/logout").with(&first);
    logout.answer().await.succeeded();
    over(&first).await;
    node.info(&second).await;

    let form = serde_json::json!({ "old_password": PASSWORD, "new_password": PASSWORD });
    let change = service.request(Method::PUT, "/user/password").with(&second);
    let third = Session::of(change.json(&form).answer().await.succeeded());
    over(&second).await;
    node.info(&third).await;

    let delete = service.request(Method::DELETE, "/user").with(&third);
    delete.answer().await.succeeded();
    over(&third).await;
}
