//! Signing keys, their rotation, and the claims of tokens.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use veraicon::{
    auth::key::{self, Secret},
    config::Config,
};

use crate::service::{ApiResponse, RequestExt, START, Service, Session};

const OLD: &str = "an old secret that is long enough to be one";
const NEW: &str = "a new secret that is long enough to be one";
const DAY: i64 = 24 * 60 * 60 * 1000;

fn keys<'a>(current: &'a str, previous: &'a [&str]) -> impl FnOnce(&mut Config) + 'a {
    move |config| {
        config.tokens.key = Some(current.into());
        config.tokens.previous_keys = previous.iter().map(|key| (*key).into()).collect();
    }
}

async fn renew(service: &Service, session: &Session) -> ApiResponse {
    let request = service.post("/user/refresh");
    request
        .header("Refresh-Token", &session.refresh)
        .submit()
        .await
}

fn header(token: &str) -> Value {
    let header = jsonwebtoken::decode_header(token).unwrap();
    serde_json::to_value(header).unwrap()
}

#[tokio::test]
async fn tokens_of_a_previous_key_are_valid_and_renewed_with_the_new_key() {
    let service = Service::start_with(keys(OLD, &[])).await;
    let session = service.user("someone").await;
    let idle = service.user("idle").await;
    assert_eq!(
        header(&session.access)["kid"],
        Secret::new(&OLD.into()).id()
    );

    let service = service.restarted(keys(NEW, &[OLD])).await;
    service.info(&session).await;
    let renewed = Session::of(renew(&service, &session).await.succeeded());
    for token in [&renewed.access, &renewed.refresh] {
        assert_eq!(header(token)["kid"], Secret::new(&NEW.into()).id());
    }
    // Another node may still sign with the old key. Both nodes must accept both keys.
    service.info(&renewed).await;
    let service = service.restarted(keys(OLD, &[NEW])).await;
    service.info(&renewed).await;

    let service = service.restarted(keys(NEW, &[])).await;
    service.info(&renewed).await;
    service.assert_signed_out(&session).await;
    renew(&service, &idle).await.refused("token_invalid");
    renew(&service, &renewed).await.succeeded();
}

/// Signs an access token with the service's key and changed claims.
fn forge(change: impl FnOnce(&mut Value), session: &Session) -> String {
    let mut claims: Value = jsonwebtoken::dangerous::insecure_decode(&session.access)
        .unwrap()
        .claims;
    change(&mut claims);
    let secret = Secret::new(&OLD.into());
    let header = Header {
        kid: Some(secret.id()),
        ..Header::new(Algorithm::HS256)
    };
    let key = EncodingKey::from_secret(&secret.derive_key(&[b"veraicon access token"]));
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
}

#[tokio::test]
async fn every_claim_of_a_token_is_required_and_checked() {
    let service = Service::start_with(keys(OLD, &[])).await;
    let session = service.user("someone").await;
    let ask = async |token: String| {
        let request = service.get("/user/info").header("Access-Token", token);
        request.submit().await
    };
    ask(forge(|_| {}, &session)).await.succeeded();
    let refused = async |change: &dyn Fn(&mut Value)| {
        let response = ask(forge(change, &session)).await;
        response.refused("token_invalid");
    };
    for claim in ["iss", "aud", "sub", "sid", "typ", "nbf", "exp"] {
        refused(&|claims| {
            claims.as_object_mut().unwrap().remove(claim);
        })
        .await;
    }
    for (claim, value) in [
        ("iss", json!("another")),
        ("aud", json!("another")),
        ("typ", json!("refresh")),
        ("sid", json!("1")),
        ("sid", json!("x")),
    ] {
        refused(&|claims| claims[claim] = value.clone()).await;
    }
}

#[tokio::test]
async fn not_before_has_thirty_seconds_of_leeway_and_expiry_has_none() {
    let service = Service::start_with(keys(OLD, &[])).await;
    let session = service.user("someone").await;
    let ask = async |claim: &str, milliseconds: i32| {
        let time = f64::from(milliseconds) / 1000.0 + 1_777_593_600.0;
        let token = forge(|claims| claims[claim] = json!(time), &session);
        let request = service.get("/user/info").header("Access-Token", token);
        request.submit().await
    };
    assert_eq!(START, 1_777_593_600_000);
    ask("nbf", 30_000).await.succeeded();
    ask("nbf", 30_001).await.refused("token_invalid");
    ask("exp", 1).await.succeeded();
    ask("exp", 0).await.refused("token_expired");
    ask("exp", -1).await.refused("token_expired");
}

#[tokio::test]
async fn a_lifetime_of_one_second_is_exact_at_any_subsecond_offset() {
    let service = Service::start_with(|config| {
        config.tokens.access_ttl = "1s".parse().unwrap();
        config.tokens.refresh_ttl = "2s".parse().unwrap();
    })
    .await;
    service.register("someone").await.succeeded();
    for offset in [1, 123, 499, 500, 501, 998] {
        service.advance(Duration::from_millis(offset));
        let login = service.login("someone", crate::service::PASSWORD).await;
        let session = Session::of(login.succeeded());
        assert_eq!(login.body["token"]["expires_in"], 1);
        service.advance(Duration::from_millis(999));
        service.info(&session).await;
        service.advance(Duration::from_millis(1));
        service
            .get("/user/info")
            .with_session(&session)
            .submit()
            .await
            .refused("token_expired");
        service.advance(Duration::from_millis(999));
        let renewed = Session::of(renew(&service, &session).await.succeeded());
        service.advance(Duration::from_secs(2));
        renew(&service, &renewed).await.refused("token_expired");
    }
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn rotation_puts_a_new_key_first_and_keeps_old_keys_until_their_tokens_have_expired() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.key");
    let texts = |secrets: Vec<SecretString>| {
        let texts = secrets
            .iter()
            .map(|secret| secret.expose_secret().to_owned());
        texts.collect::<Vec<_>>()
    };
    let load = |now| texts(key::load_or_create(&path, now).unwrap());
    let first = load(START);
    assert_eq!(first.len(), 1);
    assert_eq!(key::rotate(&path, START, 30 * DAY).unwrap(), 1);
    let second = load(START);
    assert_eq!(second[1..], first);
    assert_eq!(key::rotate(&path, START + 29 * DAY, 30 * DAY).unwrap(), 2);
    let third = load(START + 29 * DAY);
    assert_eq!(third[1..], second);
    // The first key was retired thirty days ago, the second one day ago.
    assert_eq!(key::rotate(&path, START + 30 * DAY, 30 * DAY).unwrap(), 2);
    assert_eq!(load(START + 30 * DAY)[1..], third[..2]);
    assert_eq!(mode(&path), 0o600);
    assert!(lines(&path)[2].ends_with(" 2026-05-30T00:00:00Z"));
    assert_eq!(key::rotate(&path, START + 30 * DAY, 0).unwrap(), 0);
    assert_eq!(load(START + 30 * DAY).len(), 1);
}

#[test]
fn a_key_is_retired_when_the_service_first_loads_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.key");
    key::load_or_create(&path, START).unwrap();
    key::rotate(&path, START, 30 * DAY).unwrap();
    // The service signed with the first key until this start.
    key::load_or_create(&path, START + 20 * DAY).unwrap();
    assert_eq!(key::rotate(&path, START + 30 * DAY, 30 * DAY).unwrap(), 2);
    key::load_or_create(&path, START + 31 * DAY).unwrap();
    assert_eq!(key::rotate(&path, START + 50 * DAY, 30 * DAY).unwrap(), 2);
}

#[test]
fn every_key_in_the_file_must_be_long_enough() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.key");
    for text in [
        "",
        "\n",
        "short",
        &format!("{NEW}\nshort 2026-05-30T00:00:00Z\n"),
    ] {
        fs::write(&path, text).unwrap();
        let refusals = [
            key::load_or_create(&path, START).map(|_| ()).unwrap_err(),
            key::rotate(&path, START, DAY).map(|_| ()).unwrap_err(),
        ];
        for refusal in refusals {
            assert!(!refusal.to_string().contains(NEW));
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::write(&path, format!("\n{NEW}\n  {OLD}\t2026-05-30T00:00:00Z\n")).unwrap();
    let secrets = key::load_or_create(&path, START).unwrap();
    let texts: Vec<_> = secrets.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(texts, [NEW, OLD]);
}

#[test]
fn permissions_of_a_readable_key_file_are_restricted_to_the_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.key");
    fs::write(&path, NEW).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    key::load_or_create(&path, START).unwrap();
    assert_eq!(mode(&path), 0o600);
}
