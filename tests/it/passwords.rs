//! Password hashes: their cost, normalisation, and limits on concurrent hashing.

use std::sync::{Arc, Mutex, mpsc};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::sync::oneshot;
use veraicon::auth::password::{NewPassword, Passwords};

use crate::{
    picture,
    service::{PASSWORD, RequestExt, Service, Session},
};

impl Service {
    async fn cost_of(&self, username: &str) -> String {
        let user = self.app.database.user_by_key(username).await.unwrap();
        let hash = user.unwrap().password_hash;
        assert_eq!(hash.len(), 60);
        hash[..7].to_owned()
    }
}

#[tokio::test]
async fn a_hash_of_another_cost_is_replaced_at_the_next_login_and_sessions_stay_valid() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    service.register("other").await.succeeded();
    assert_eq!(service.cost_of("someone").await, "$2b$04$");

    let service = service
        .restarted(|config| config.accounts.bcrypt_cost = 6)
        .await;
    service
        .login("someone", "wrong horse 9")
        .await
        .refused("bad_credentials");
    assert_eq!(service.cost_of("someone").await, "$2b$04$");
    // Five concurrent logins, each of which tries to replace the hash.
    let logins = join_all((0..5).map(|_| service.login("someone", PASSWORD))).await;
    for login in &logins {
        service.info(&Session::of(login.succeeded())).await;
    }
    assert_eq!(service.cost_of("someone").await, "$2b$06$");
    assert_eq!(service.cost_of("other").await, "$2b$04$");
    service.info(&session).await;

    let service = service.restarted(|_| {}).await;
    service.login("someone", PASSWORD).await.succeeded();
    assert_eq!(service.cost_of("someone").await, "$2b$04$");
}

#[tokio::test]
async fn a_password_can_be_changed_while_a_login_replaces_the_old_hash() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let before = service.app.database.user_by_key("someone").await.unwrap();
    let before = before.unwrap();
    let service = service
        .restarted(|config| config.accounts.bcrypt_cost = 5)
        .await;
    service.login("someone", PASSWORD).await.succeeded();
    // This request read the account before the login replaced the hash.
    let (old, new) = (PASSWORD.into(), "battery staple 9".into());
    let accounts = &service.app.accounts;
    accounts.change_password(&before, &old, &new).await.unwrap();
    service.assert_signed_out(&session).await;
    // A hash replacement that arrives after the password change must not restore the old password.
    let database = &service.app.database;
    database
        .rehash_password(&before, before.password_hash.clone())
        .await
        .unwrap();
    service
        .login("someone", PASSWORD)
        .await
        .refused("bad_credentials");
    service
        .login("someone", "battery staple 9")
        .await
        .succeeded();
}

#[tokio::test]
async fn unicode_forms_of_a_password_are_equivalent() {
    let service = Service::start().await;
    // An ideographic space, and a letter with a combining accent (RFC 8265, section 4.2).
    let form = json!({ "username": "someone", "password": "cafe\u{301}\u{3000}9999" });
    let register = service.post("/user/register").json(&form);
    register.submit().await.succeeded();
    service.login("someone", "café 9999").await.succeeded();
    for other in ["cafe 9999", "CAFÉ 9999", "café9999"] {
        service
            .login("someone", other)
            .await
            .refused("bad_credentials");
    }
}

#[tokio::test]
async fn a_hash_is_refused_at_once_when_the_queue_is_full() {
    let passwords = Passwords::new(4, 2).unwrap();
    let mut permits: Vec<_> = (0..18)
        .map(|_| passwords.acquire_permit().unwrap())
        .collect();
    assert_eq!(passwords.acquire_permit().unwrap_err().reason(), "busy");
    let password = NewPassword::parse("password", &PASSWORD.into()).unwrap();
    let hash = passwords.hash(permits.remove(0), password).await.unwrap();
    let permit = passwords.acquire_permit().unwrap();
    let matches = passwords
        .verify(permit, &PASSWORD.into(), Some(&hash))
        .await;
    assert!(matches.unwrap());
}

#[test]
fn passwords_are_hashed_while_all_blocking_threads_are_busy() {
    const THREADS: usize = 4;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(THREADS)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let service = Service::start().await;
        service.register("someone").await.succeeded();
        // Blocks all threads, like a disk that does not respond.
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Arc::new(Mutex::new(blocked));
        let mut threads = Vec::new();
        for _ in 0..THREADS {
            let blocked = Arc::clone(&blocked);
            let (started, starting) = oneshot::channel();
            threads.push(tokio::task::spawn_blocking(move || {
                started.send(()).unwrap();
                blocked.lock().unwrap().recv()
            }));
            starting.await.unwrap();
        }
        service.login("someone", PASSWORD).await.succeeded();
        drop(release);
        for thread in threads {
            thread.await.unwrap().unwrap_err();
        }
    });
}

#[tokio::test]
async fn uploads_succeed_while_all_hash_permits_are_taken() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let permits: Vec<_> =
        std::iter::from_fn(|| service.app.passwords.acquire_permit().ok()).collect();
    assert!(!permits.is_empty());
    assert_eq!(service.login("someone", PASSWORD).await.status, 503);
    service
        .upload(&session, picture::numbered(1))
        .await
        .succeeded();
    let form = json!({ "old_password": PASSWORD, "new_password": PASSWORD });
    let request = service.request(Method::PUT, "/user/password");
    let response = request.with_session(&session).json(&form).submit().await;
    assert_eq!(response.status, 503);
    drop(permits);
    // Refused logins do not count as attempts.
    service.login("someone", PASSWORD).await.succeeded();
}
