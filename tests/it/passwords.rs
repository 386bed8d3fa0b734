//! How passwords are kept, and what their hashing leaves to others.

use std::sync::{Arc, Mutex, mpsc};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::sync::oneshot;
use veraicon::auth::password::{NewPassword, Passwords};

use crate::{
    picture,
    service::{PASSWORD, Send, Service, Session},
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
async fn a_hash_of_another_cost_is_made_anew_at_the_next_login_and_sessions_go_on() {
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
    // All at once, of which each would make the hash anew.
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
async fn a_new_password_may_be_set_while_a_login_makes_the_hash_of_the_old_one_anew() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let before = service.app.database.user_by_key("someone").await.unwrap();
    let before = before.unwrap();
    let service = service
        .restarted(|config| config.accounts.bcrypt_cost = 5)
        .await;
    service.login("someone", PASSWORD).await.succeeded();
    // As a request would that read the account before that log-in.
    let (old, new) = (PASSWORD.into(), "battery staple 9".into());
    let accounts = &service.app.accounts;
    accounts.change_password(&before, &old, &new).await.unwrap();
    service.shuts_out(&session).await;
    // And one that comes later than the new password cannot bring the old one back.
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
async fn a_password_is_one_in_whatever_form_it_is_typed() {
    let service = Service::start().await;
    // A wide space, and a letter with its mark apart (RFC 8265, section 4.2).
    let form = json!({ "username": "someone", "password": "cafe\u{301}\u{3000}9999" });
    let register = service.post("/user/register").json(&form);
    register.answer().await.succeeded();
    service.login("someone", "café 9999").await.succeeded();
    for other in ["cafe 9999", "CAFÉ 9999", "café9999"] {
        service
            .login("someone", other)
            .await
            .refused("bad_credentials");
    }
}

#[tokio::test]
async fn so_many_hashes_wait_and_the_next_is_turned_away_at_once() {
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
fn passwords_are_hashed_while_all_threads_for_blocking_work_are_taken() {
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
        // As by a disk that does not answer.
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let mut stuck = Vec::new();
        for _ in 0..THREADS {
            let held = Arc::clone(&held);
            let (taken, taking) = oneshot::channel();
            stuck.push(tokio::task::spawn_blocking(move || {
                taken.send(()).unwrap();
                held.lock().unwrap().recv()
            }));
            taking.await.unwrap();
        }
        service.login("someone", PASSWORD).await.succeeded();
        drop(release);
        for thread in stuck {
            thread.await.unwrap().unwrap_err();
        }
    });
}

#[tokio::test]
async fn uploads_go_on_while_all_places_for_hashes_are_taken() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let taken: Vec<_> =
        std::iter::from_fn(|| service.app.passwords.acquire_permit().ok()).collect();
    assert!(!taken.is_empty());
    assert_eq!(service.login("someone", PASSWORD).await.status, 503);
    service
        .upload(&session, picture::numbered(1))
        .await
        .succeeded();
    let form = json!({ "old_password": PASSWORD, "new_password": PASSWORD });
    let request = service.request(Method::PUT, "/user/password");
    let answer = request.with(&session).json(&form).answer().await;
    assert_eq!(answer.status, 503);
    drop(taken);
    // What was turned away counts as no attempt.
    service.login("someone", PASSWORD).await.succeeded();
}
