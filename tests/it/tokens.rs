//! Access and refresh tokens: validation, rotation, replay, and languages of messages.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
};
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use tower::ServiceExt;
use veraicon::{config::Period, http};

use crate::service::{ApiResponse, PASSWORD, RequestExt, Service, Session};

const FIFTEEN_MINUTES: Duration = Duration::from_secs(15 * 60);

impl Service {
    async fn ask(&self, access: Option<&str>, refresh: Option<&str>) -> ApiResponse {
        let mut request = self.get("/user/info");
        if let Some(token) = access {
            request = request.header("Access-Token", token);
        }
        if let Some(token) = refresh {
            request = request.header("Refresh-Token", token);
        }
        request.submit().await
    }

    async fn refresh(&self, token: &str) -> ApiResponse {
        self.post("/user/refresh")
            .header("Refresh-Token", token)
            .submit()
            .await
    }
}

#[tokio::test]
async fn the_refresh_token_is_ignored_if_the_access_token_is_valid() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let response = service.ask(Some(&session.access), Some("nonsense")).await;
    assert!(!response.succeeded().headers.contains_key("access-token"));
    let bearer = service
        .get("/user/info")
        .bearer_auth(&session.access)
        .submit()
        .await;
    bearer.succeeded();
    let prefixed = format!("Bearer {}", session.access);
    service.ask(Some(&prefixed), None).await.succeeded();
}

#[tokio::test]
async fn missing_and_malformed_tokens_are_refused_with_their_reason() {
    let service = Service::start().await;
    service.ask(None, None).await.refused("token_missing");
    service
        .ask(Some(""), Some(""))
        .await
        .refused("token_missing");
    service
        .ask(Some("nonsense"), None)
        .await
        .refused("token_invalid");
    service
        .ask(None, Some("nonsense"))
        .await
        .refused("token_invalid");
    service
        .post("/user/refresh")
        .submit()
        .await
        .refused("token_missing");
}

#[tokio::test]
async fn an_expired_or_missing_access_token_is_renewed_within_the_request() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    service.advance(FIFTEEN_MINUTES);
    service
        .ask(Some(&session.access), None)
        .await
        .refused("token_expired");
    let renewed = Session::of(
        service
            .ask(Some(&session.access), Some(&session.refresh))
            .await
            .succeeded(),
    );
    assert_ne!(renewed.refresh, session.refresh);
    service.ask(Some(&renewed.access), None).await.succeeded();
    let again = service.ask(None, Some(&renewed.refresh)).await;
    assert_eq!(again.succeeded().headers["cache-control"], "no-store");
    service
        .ask(Some(&Session::of(&again).access), None)
        .await
        .succeeded();
}

#[tokio::test]
async fn refusals_carry_renewed_tokens_too() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    service.advance(FIFTEEN_MINUTES);
    let request = service
        .get("/user/info?user_id=1")
        .header("Refresh-Token", &session.refresh);
    let response = request.submit().await;
    service
        .ask(
            Some(&Session::of(response.refused("user_not_found")).access),
            None,
        )
        .await
        .succeeded();
}

#[tokio::test]
async fn an_access_token_is_valid_exactly_for_its_configured_lifetime() {
    let service = Service::start_with(|config| config.tokens.access_ttl = Period::seconds(1)).await;
    service.advance(Duration::from_millis(500));
    let session = service.user("someone").await;
    service.advance(Duration::from_millis(999));
    service.ask(Some(&session.access), None).await.succeeded();
    service.advance(Duration::from_millis(1));
    service
        .ask(Some(&session.access), None)
        .await
        .refused("token_expired");
}

#[tokio::test]
async fn a_forged_or_misused_token_is_refused_even_with_a_valid_refresh_token() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let (head, rest) = session.access.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    // {"typ":"JWT","alg":"none"} and {"typ":"JWT","alg":"HS512"}
    let unsigned = format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.{claims}.");
    let other_algorithm = format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9.{claims}.{signature}");
    let other_signature = format!(
        "{head}.{claims}.{}",
        signature.chars().rev().collect::<String>()
    );
    for forged in [
        &unsigned,
        &other_algorithm,
        &other_signature,
        &session.refresh,
    ] {
        service
            .ask(Some(forged), Some(&session.refresh))
            .await
            .refused("token_invalid");
    }
    service
        .ask(None, Some(&session.access))
        .await
        .refused("token_invalid");
    service.ask(Some(&session.access), None).await.succeeded();
}

#[tokio::test]
async fn the_previous_refresh_token_returns_the_newest_one_for_thirty_seconds() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let first = Session::of(service.refresh(&session.refresh).await.succeeded());
    service.advance(Duration::from_secs(30));
    let second = Session::of(service.refresh(&session.refresh).await.succeeded());
    assert_eq!(first.refresh, second.refresh);
    service.advance(Duration::from_millis(1));
    service
        .refresh(&session.refresh)
        .await
        .refused("token_invalid");
    // The replay ended the session, so its newest tokens are invalid too.
    service
        .refresh(&first.refresh)
        .await
        .refused("token_invalid");
    service
        .ask(Some(&first.access), None)
        .await
        .refused("token_invalid");
}

#[tokio::test]
async fn a_token_two_generations_old_ends_the_session_at_once() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let first = Session::of(service.refresh(&session.refresh).await.succeeded());
    let second = Session::of(service.refresh(&first.refresh).await.succeeded());
    service
        .refresh(&session.refresh)
        .await
        .refused("token_invalid");
    service
        .ask(Some(&second.access), None)
        .await
        .refused("token_invalid");
}

#[tokio::test]
async fn parallel_requests_with_one_refresh_token_get_the_same_successor() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    service.advance(FIFTEEN_MINUTES);
    let requests = (0..50).map(|_| service.ask(Some(&session.access), Some(&session.refresh)));
    let responses = futures_util::future::join_all(requests).await;
    let successor = Session::of(responses[0].succeeded()).refresh;
    for response in &responses {
        assert_eq!(Session::of(response.succeeded()).refresh, successor);
    }
}

#[tokio::test]
async fn two_thousand_parallel_requests_with_one_expired_token_get_the_same_successor() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    service.advance(FIFTEEN_MINUTES);
    // Requests go directly to the router, so that they need no sockets.
    let router = http::router(service.app.clone());
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let requests = (0..2000).map(|_| {
        let request = Request::get("/user/info")
            .header("Access-Token", &session.access)
            .header("Refresh-Token", &session.refresh)
            .extension(ConnectInfo(peer))
            .body(Body::empty())
            .unwrap();
        tokio::spawn(router.clone().oneshot(request))
    });
    let requests: Vec<_> = requests.collect();
    let mut successors = std::collections::HashSet::new();
    for request in requests {
        let response = request.await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        successors.insert(response.headers()["refresh-token"].clone());
        let access = response.headers()["access-token"].to_str().unwrap();
        assert_ne!(access, session.access);
    }
    assert_eq!(successors.len(), 1);
    let successor = successors.iter().next().unwrap().to_str().unwrap();
    service.refresh(successor).await.succeeded();
}

#[tokio::test]
async fn a_refresh_token_expires_after_thirty_days_without_use() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    service.advance(Duration::from_secs(30 * 24 * 60 * 60) - Duration::from_millis(1));
    let renewed = Session::of(service.refresh(&session.refresh).await.succeeded());
    service.advance(Duration::from_secs(30 * 24 * 60 * 60));
    service
        .refresh(&renewed.refresh)
        .await
        .refused("token_expired");
}

#[tokio::test]
async fn problem_details_carry_the_http_status() {
    let service = Service::start().await;
    let request = service
        .get("/user/info")
        .header("Accept", "application/problem+json");
    let response = request.header("Accept-Language", "en").submit().await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers["www-authenticate"], "Bearer");
    insta::assert_json_snapshot!(response.body);
}

#[tokio::test]
async fn messages_use_the_accepted_language_with_the_highest_weight() {
    let service = Service::start().await;
    let language = async |accepted: &str| {
        let request = service
            .get("/user/info")
            .header("Accept-Language", accepted);
        let response = request.submit().await;
        response.refused("token_missing").headers["content-language"].clone()
    };
    for accepted in [
        "en",
        "EN",
        "en-US",
        "fr, en-GB;q=0.5",
        "zh;q=0.1, en;q=0.2",
        "zh;q=0, en",
    ] {
        assert_eq!(language(accepted).await, "en", "{accepted}");
    }
    let invalid = (0..40).map(|index| format!("l{index};q=NaN,x{index};q=0.{index}"));
    let invalid = invalid.collect::<Vec<_>>().join(",");
    for accepted in [
        "",
        "zh",
        "fr",
        "zh-TW, en",
        "en;q=0",
        "en;q=NaN",
        "en;q=7",
        &invalid,
    ] {
        assert_eq!(language(accepted).await, "zh-CN", "{accepted}");
    }
}

#[tokio::test]
async fn tokens_issued_after_the_grace_period_are_valid_if_the_request_began_within_it() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let caller = service
        .app
        .sessions
        .verify_refresh(&session.refresh.clone().into())
        .await
        .unwrap();
    let parallel = Session::of(service.refresh(&session.refresh).await.succeeded());
    service.advance(Duration::from_secs(60));
    let late = service
        .app
        .sessions
        .rotate(caller.pending_rotation.unwrap())
        .await
        .unwrap();
    assert_eq!(late.refresh.expose_secret(), parallel.refresh);
    service
        .ask(Some(late.access.expose_secret()), None)
        .await
        .succeeded();
}

#[tokio::test]
async fn no_session_begins_with_a_password_that_has_since_changed() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let password = PASSWORD.to_owned().into();
    let before = service
        .app
        .accounts
        .authenticate("someone", &password, Ipv4Addr::LOCALHOST.into())
        .await
        .unwrap();
    let form = serde_json::json!({ "old_password": PASSWORD, "new_password": "battery staple 9" });
    let change = service
        .request(reqwest::Method::PUT, "/user/password")
        .with_session(&session);
    change.json(&form).submit().await.succeeded();
    let begun = service.app.sessions.begin(&before, "").await.unwrap_err();
    assert_eq!(begun.reason(), "bad_credentials");
}
