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

use crate::service::{Answer, PASSWORD, Send, Service, Session};

const FIFTEEN_MINUTES: Duration = Duration::from_secs(15 * 60);

impl Service {
    async fn ask(&self, access: Option<&str>, refresh: Option<&str>) -> Answer {
        let mut request = self.get("/user/info");
        if let Some(token) = access {
            request = request.header("Access-Token", token);
        }
        if let Some(token) = refresh {
            request = request.header("Refresh-Token", token);
        }
        request.answer().await
    }

    async fn refresh(&self, token: &str) -> Answer {
        self.post("/user/refresh")
            .header("Refresh-Token", token)
            .answer()
            .await
    }
}

#[tokio::test]
async fn a_valid_access_token_is_used_and_the_refresh_token_not_looked_at() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let answer = service.ask(Some(&session.access), Some("nonsense")).await;
    assert!(!answer.succeeded().headers.contains_key("access-token"));
    let bearer = service
        .get("/user/info")
        .bearer_auth(&session.access)
        .answer()
        .await;
    bearer.succeeded();
    let prefixed = format!("Bearer {}", session.access);
    service.ask(Some(&prefixed), None).await.succeeded();
}

#[tokio::test]
async fn without_a_token_there_is_a_clear_answer() {
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
        .answer()
        .await
        .refused("token_missing");
}

#[tokio::test]
async fn an_expired_or_absent_access_token_is_renewed_within_the_request() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    service.pass(FIFTEEN_MINUTES);
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
async fn a_renewed_pair_is_on_refusals_too() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    service.pass(FIFTEEN_MINUTES);
    let request = service
        .get("/user/info?user_id=1")
        .header("Refresh-Token", &session.refresh);
    let answer = request.answer().await;
    service
        .ask(
            Some(&Session::of(answer.refused("user_not_found")).access),
            None,
        )
        .await
        .succeeded();
}

#[tokio::test]
async fn an_access_token_lives_exactly_as_long_as_configured() {
    let service = Service::start_with(|config| config.tokens.access_ttl = Period::seconds(1)).await;
    service.pass(Duration::from_millis(500));
    let session = service.user("someone").await;
    service.pass(Duration::from_millis(999));
    service.ask(Some(&session.access), None).await.succeeded();
    service.pass(Duration::from_millis(1));
    service
        .ask(Some(&session.access), None)
        .await
        .refused("token_expired");
}

#[tokio::test]
async fn a_forged_or_misused_token_is_refused_without_fall_back() {
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
async fn the_refresh_token_before_the_newest_yields_the_newest_for_thirty_seconds() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let first = Session::of(service.refresh(&session.refresh).await.succeeded());
    service.pass(Duration::from_secs(30));
    let second = Session::of(service.refresh(&session.refresh).await.succeeded());
    assert_eq!(first.refresh, second.refresh);
    service.pass(Duration::from_millis(1));
    service
        .refresh(&session.refresh)
        .await
        .refused("token_invalid");
    // That was a replay: whoever holds the newest token is logged out too.
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
async fn requests_in_parallel_with_one_refresh_token_get_one_successor() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    service.pass(FIFTEEN_MINUTES);
    let requests = (0..50).map(|_| service.ask(Some(&session.access), Some(&session.refresh)));
    let answers = futures_util::future::join_all(requests).await;
    let successor = Session::of(answers[0].succeeded()).refresh;
    for answer in &answers {
        assert_eq!(Session::of(answer.succeeded()).refresh, successor);
    }
}

#[tokio::test]
async fn two_thousand_requests_at_once_with_one_expired_token_all_succeed_with_one_successor() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    service.pass(FIFTEEN_MINUTES);
    // Handed to the routes themselves, so that each needs no socket.
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
async fn a_refresh_token_ends_after_thirty_days_without_use() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    service.pass(Duration::from_secs(30 * 24 * 60 * 60) - Duration::from_millis(1));
    let renewed = Session::of(service.refresh(&session.refresh).await.succeeded());
    service.pass(Duration::from_secs(30 * 24 * 60 * 60));
    service
        .refresh(&renewed.refresh)
        .await
        .refused("token_expired");
}

#[tokio::test]
async fn problem_details_carry_the_true_status() {
    let service = Service::start().await;
    let request = service
        .get("/user/info")
        .header("Accept", "application/problem+json");
    let answer = request.header("Accept-Language", "en").answer().await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    insta::assert_json_snapshot!(answer.body);
}

#[tokio::test]
async fn messages_come_in_the_language_that_weighs_most() {
    let service = Service::start().await;
    let language = async |accepted: &str| {
        let request = service
            .get("/user/info")
            .header("Accept-Language", accepted);
        let answer = request.answer().await;
        answer.refused("token_missing").headers["content-language"].clone()
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
    let odd = (0..40).map(|index| format!("l{index};q=NaN,x{index};q=0.{index}"));
    let odd = odd.collect::<Vec<_>>().join(",");
    for accepted in [
        "",
        "zh",
        "fr",
        "zh-TW, en",
        "en;q=0",
        "en;q=NaN",
        "en;q=7",
        &odd,
    ] {
        assert_eq!(language(accepted).await, "zh-CN", "{accepted}");
    }
}

#[tokio::test]
async fn tokens_handed_out_after_the_grace_are_good_where_the_request_began_before() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let judged = service
        .app
        .sessions
        .verify_refresh(&session.refresh.clone().into())
        .await
        .unwrap();
    let meanwhile = Session::of(service.refresh(&session.refresh).await.succeeded());
    service.pass(Duration::from_secs(60));
    let late = service
        .app
        .sessions
        .rotate(judged.pending_rotation.unwrap())
        .await
        .unwrap();
    assert_eq!(late.refresh.expose_secret(), meanwhile.refresh);
    service
        .ask(Some(late.access.expose_secret()), None)
        .await
        .succeeded();
}

#[tokio::test]
async fn a_session_is_not_begun_with_a_password_that_was_changed_since() {
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
        .with(&session);
    change.json(&form).answer().await.succeeded();
    let begun = service.app.sessions.begin(&before, "").await.unwrap_err();
    assert_eq!(begun.reason(), "bad_credentials");
}
