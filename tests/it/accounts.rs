//! Accounts: registration, login, changed passwords, logout and deletion.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::json;
use veraicon::config::Registration;

use crate::{
    picture,
    service::{PASSWORD, RequestExt, Service, Session},
};

#[tokio::test]
async fn register_and_login_return_the_user() {
    let service = Service::start().await;
    let registered = service.register("west2-online").await;
    insta::assert_json_snapshot!(registered.body, { ".data.id" => "[id]", ".data.avatar_url" => "[url]", ".data.avatar_urls.*" => "[url]" });
    let id = registered.data()["id"].as_str().unwrap();
    // JavaScript numbers are exact up to 2^53, so identifiers must be JSON strings.
    assert!(id.parse::<i64>().unwrap() > 1 << 53, "{id}");
    let login = service.login("west2-online", PASSWORD).await;
    assert_eq!(login.succeeded().data(), registered.data());
    assert_eq!(
        login.body["token"]["access_token"],
        login.headers["access-token"].to_str().unwrap()
    );
    assert_eq!(
        login.body["token"]["refresh_token"],
        login.headers["refresh-token"].to_str().unwrap()
    );
    assert_eq!(login.body["token"]["token_type"], "Bearer");
    assert_eq!(login.body["token"]["expires_in"], 900);
    assert_eq!(login.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn names_are_unique_regardless_of_case_and_width() {
    let service = Service::start().await;
    service.register("Straße-老王").await.succeeded();
    for same in ["straße-老王", "STRAßE-老王", "Ｓtraße-老王"] {
        service.register(same).await.refused("username_taken");
    }
    assert_eq!(
        service
            .login("sTRAße-老王", PASSWORD)
            .await
            .succeeded()
            .data()["username"],
        "Straße-老王"
    );
}

#[tokio::test]
async fn one_of_ten_concurrent_registrations_of_a_name_succeeds() {
    let service = Service::start().await;
    let responses = (0..10).map(|_| service.register("popular"));
    let responses = futures_util::future::join_all(responses).await;
    let reasons: Vec<_> = responses
        .iter()
        .map(|response| response.body["base"]["reason"].as_str())
        .collect();
    assert_eq!(
        reasons.iter().filter(|reason| reason.is_none()).count(),
        1,
        "{reasons:?}"
    );
    assert_eq!(
        reasons
            .iter()
            .filter(|reason| **reason == Some("username_taken"))
            .count(),
        9,
        "{reasons:?}"
    );
}

#[tokio::test]
async fn invalid_names_and_passwords_are_refused_with_the_rule() {
    let service = Service::start().await;
    let refused = async |username: &str, password: &str| {
        let form = json!({ "username": username, "password": password });
        let request = service
            .post("/user/register")
            .header("Accept-Language", "en");
        request
            .json(&form)
            .submit()
            .await
            .refused("invalid_field")
            .message()
            .to_owned()
    };
    let mut messages = Vec::new();
    for name in [
        "",
        "a",
        &"n".repeat(33),
        "a b",
        "a\0b",
        "<script>",
        "a/../b",
        "a@b",
        "☺☺☺",
        "a\u{301}",
    ] {
        messages.push(refused(name, PASSWORD).await);
    }
    for password in [
        "",
        "1234567",
        &"p".repeat(72),
        "eight\0\0\0",
        &"密".repeat(24),
    ] {
        messages.push(refused("someone", password).await);
    }
    insta::assert_json_snapshot!(messages);
    for (index, password) in ["12345678".to_owned(), "p".repeat(71), "密".repeat(23)]
        .into_iter()
        .enumerate()
    {
        let name = format!("user{index}");
        let form = json!({ "username": name, "password": password });
        service
            .post("/user/register")
            .json(&form)
            .submit()
            .await
            .succeeded();
        service.login(&name, &password).await.succeeded();
    }
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_get_the_same_response() {
    let service = Service::start().await;
    service.register("known").await.succeeded();
    let wrong = service.login("known", "wrong horse 9").await;
    let unknown = service.login("unknown", PASSWORD).await;
    let impossible = service.login("\0", &"long".repeat(100)).await;
    assert_eq!(wrong.refused("bad_credentials").body, unknown.body);
    assert_eq!(wrong.body, impossible.body);
    assert!(!wrong.headers.contains_key("access-token"));
}

#[tokio::test]
async fn registration_can_be_closed() {
    let service =
        Service::start_with(|config| config.accounts.registration = Registration::Closed).await;
    service
        .register("anyone")
        .await
        .refused("registration_closed");
}

#[tokio::test]
async fn info_returns_oneself_or_another_user() {
    let service = Service::start().await;
    let other = service.register("other").await;
    let session = service.user("myself").await;
    let info = async |query: &str| {
        service
            .get(&format!("/user/info{query}"))
            .with_session(&session)
            .submit()
            .await
    };
    assert_eq!(info("").await.succeeded().data()["username"], "myself");
    assert_eq!(
        info("?user_id=").await.succeeded().data()["username"],
        "myself"
    );
    let id = other.data()["id"].as_str().unwrap();
    assert_eq!(
        info(&format!("?user_id={id}")).await.succeeded().data(),
        other.data()
    );
    info("?user_id=1").await.refused("user_not_found");
    info("?user_id=99999999999999999999")
        .await
        .refused("user_not_found");
    info("?user_id=-1").await.refused("invalid_field");
    info("?user_id=1&user_id=2").await.refused("invalid_field");
}

#[tokio::test]
async fn a_password_change_ends_all_sessions_and_starts_a_new_one() {
    let service = Service::start().await;
    let here = service.user("mover").await;
    let there = Session::of(service.login("mover", PASSWORD).await.succeeded());
    let change = async |session: &Session, old: &str, new: &str| {
        let form = json!({ "old_password": old, "new_password": new });
        let request = service
            .request(Method::PUT, "/user/password")
            .with_session(session);
        request.json(&form).submit().await
    };
    change(&here, "wrong horse 9", "battery staple 9")
        .await
        .refused("bad_credentials");
    change(&here, PASSWORD, "short")
        .await
        .refused("invalid_field");
    service.info(&there).await;
    let changed = change(&here, PASSWORD, "battery staple 9").await;
    service.info(&Session::of(changed.succeeded())).await;
    for ended in [&here, &there] {
        service
            .get("/user/info")
            .with_session(ended)
            .submit()
            .await
            .refused("token_invalid");
        let refresh = service
            .post("/user/refresh")
            .header("Refresh-Token", &ended.refresh);
        refresh.submit().await.refused("token_invalid");
    }
    service
        .login("mover", PASSWORD)
        .await
        .refused("bad_credentials");
    service.login("mover", "battery staple 9").await.succeeded();
}

#[tokio::test]
async fn logout_ends_only_this_session() {
    let service = Service::start().await;
    let here = service.user("leaver").await;
    let there = Session::of(service.login("leaver", PASSWORD).await.succeeded());
    let response = service
        .post("/user/logout")
        .with_session(&here)
        .submit()
        .await;
    assert_eq!(
        response.succeeded().body,
        json!({ "base": { "code": 10000, "msg": "success" } })
    );
    service.assert_signed_out(&here).await;
    service.info(&there).await;
}

#[tokio::test]
async fn deleting_an_account_removes_its_pictures_and_keeps_its_name_taken() {
    let service = Service::start().await;
    let session = service.user("leaver").await;
    let picture = service.upload(&session, picture::numbered(1)).await;
    let url = &picture.succeeded().data()["avatar_url"];
    assert_eq!(service.fetch(url).await.status(), 200);
    service.advance(std::time::Duration::from_secs(60));
    let deleted = service
        .request(Method::DELETE, "/user")
        .with_session(&session)
        .submit()
        .await;
    assert_eq!(
        deleted.succeeded().data()["deleted_at"],
        "2026-05-01 08:01:00"
    );
    assert_eq!(service.fetch(url).await.status(), 404);
    service.assert_signed_out(&session).await;
    service
        .login("leaver", PASSWORD)
        .await
        .refused("bad_credentials");
    service.register("leaver").await.refused("username_taken");
    let id = deleted.data()["id"].as_str().unwrap();
    assert_eq!(
        service
            .get(&format!("/user/{id}/avatar"))
            .submit()
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn identifiers_are_unique() {
    let service = Service::start().await;
    let mut seen = HashSet::new();
    for index in 0..20 {
        let response = service.register(&format!("user{index}")).await;
        assert!(seen.insert(response.data()["id"].as_str().unwrap().to_owned()));
    }
}
