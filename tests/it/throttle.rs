//! Rate limits on logins, password changes and registrations.

use std::time::Duration;

use reqwest::Method;
use sea_orm::{EntityTrait, IntoActiveModel};
use serde_json::json;
use veraicon::{config::Config, database::attempts};

use crate::service::{ApiResponse, PASSWORD, RequestExt, Service, Session};

const WRONG: &str = "wrong horse 9";

impl Service {
    /// Starts a service behind a trusted proxy, which sends the client's address.
    async fn behind_proxy(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_with(|config| {
            config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
            change(config);
        })
        .await
    }

    async fn login_from(&self, forwarded: &[&str], username: &str, password: &str) -> ApiResponse {
        let mut request = self.post("/user/login");
        for line in forwarded {
            request = request.header("X-Forwarded-For", *line);
        }
        let form = json!({ "username": username, "password": password });
        request.json(&form).submit().await
    }

    async fn new_password(&self, session: &Session, old: &str) -> ApiResponse {
        let form = json!({ "old_password": old, "new_password": "battery staple 9" });
        let request = self
            .request(Method::PUT, "/user/password")
            .with_session(session);
        request.json(&form).submit().await
    }

    async fn fail(&self, username: &str, times: usize) {
        for _ in 0..times {
            self.login(username, WRONG).await.refused("bad_credentials");
        }
    }
}

#[tokio::test]
async fn after_ten_failures_the_wait_doubles_up_to_fifteen_minutes() {
    let service = Service::start().await;
    service.register("someone").await.succeeded();
    service.fail("someone", 10).await;
    for wait in [30, 60, 120, 240, 480, 900, 900, 900] {
        assert_eq!(
            service.login("someone", WRONG).await.assert_rate_limited(),
            wait
        );
        service.advance(Duration::from_millis(wait * 1000 - 1));
        // The correct password must wait too. Otherwise an attacker could tell it from wrong ones.
        assert_eq!(
            service
                .login("someone", PASSWORD)
                .await
                .assert_rate_limited(),
            1
        );
        service.advance(Duration::from_millis(1));
        service.fail("someone", 1).await;
    }
    service.advance(Duration::from_secs(900));
    service.login("someone", PASSWORD).await.succeeded();
    service.fail("someone", 10).await;
}

#[tokio::test]
async fn the_wait_is_in_the_message_and_in_retry_after() {
    let service = Service::start().await;
    service.fail("someone", 10).await;
    service.advance(Duration::from_secs(30));
    service.fail("someone", 1).await;
    service.advance(Duration::from_millis(500));
    let form = json!({ "username": "someone", "password": WRONG });
    let ask = async |name: &'static str, value: &str| {
        let request = service.post("/user/login").header(name, value);
        request.json(&form).submit().await
    };
    let chinese = ask("Accept-Language", "zh").await;
    assert_eq!(chinese.message(), "尝试次数过多，请在 1 分后重试");
    service.advance(Duration::from_secs(1));
    let english = ask("Accept-Language", "en").await;
    assert_eq!(english.message(), "too many attempts: try again in 59 s");
    let problem = ask("Accept", "application/problem+json").await;
    assert_eq!(problem.status, 429);
    assert_eq!(problem.body["reason"], "rate_limited");
    assert_eq!(problem.headers["retry-after"], "59");
}

#[tokio::test]
async fn unknown_names_are_throttled_like_existing_ones() {
    let service = Service::start().await;
    service.register("someone").await.succeeded();
    let mut seen = Vec::new();
    for name in ["someone", "SomeOne", "nobody", "\0"] {
        let mut responses = Vec::new();
        for _ in 0..12 {
            let response = service.login(name, WRONG).await;
            responses.push((response.status, response.body));
        }
        seen.push(responses);
    }
    let [known, other_case, unknown, impossible] = seen.try_into().unwrap();
    assert_eq!(known, unknown);
    assert_eq!(known, impossible);
    // The name in another case is the same account.
    assert!(other_case.iter().all(|(status, _)| *status == 429));
}

#[tokio::test]
async fn sessions_stay_valid_and_can_change_the_password_while_logins_are_throttled() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    service.fail("someone", 10).await;
    service
        .login("someone", PASSWORD)
        .await
        .assert_rate_limited();
    service.info(&session).await;
    service.advance(Duration::from_secs(15 * 60));
    let renewed = service
        .post("/user/refresh")
        .header("Refresh-Token", &session.refresh);
    let session = Session::of(renewed.submit().await.succeeded());
    service.fail("someone", 1).await;
    service
        .login("someone", PASSWORD)
        .await
        .assert_rate_limited();
    let changed = service.new_password(&session, PASSWORD).await;
    service.info(&Session::of(changed.succeeded())).await;
}

#[tokio::test]
async fn password_guesses_within_a_session_are_throttled_separately_from_logins() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    for _ in 0..10 {
        service
            .new_password(&session, WRONG)
            .await
            .refused("bad_credentials");
    }
    let response = service.new_password(&session, PASSWORD).await;
    assert_eq!(response.assert_rate_limited(), 30);
    service.info(&session).await;
    service.login("someone", PASSWORD).await.succeeded();
}

#[tokio::test]
async fn a_successful_login_resets_the_failures_of_the_account() {
    let service = Service::start().await;
    service.register("someone").await.succeeded();
    for _ in 0..3 {
        service.fail("someone", 9).await;
        service.login("someone", PASSWORD).await.succeeded();
    }
}

#[tokio::test]
async fn parallel_guesses_are_limited_to_the_allowance() {
    let service = Service::start_with(|config| {
        config.limits.login_failures_per_account = 5;
    })
    .await;
    service.register("someone").await.succeeded();
    let guess = async || loop {
        let response = service.login("someone", WRONG).await;
        // 503 means that the hash queue is full. Such a login is not an attempt.
        if response.status != 503 {
            return response;
        }
    };
    let responses = futures_util::future::join_all((0..60).map(|_| guess())).await;
    let checked = responses.iter().filter(|response| response.status == 200);
    assert_eq!(checked.count(), 5);
}

#[tokio::test]
async fn failures_of_an_address_are_limited_across_all_names() {
    let service =
        Service::behind_proxy(|config| config.limits.login_failures_per_address = 3).await;
    service.register("someone").await.succeeded();
    let from = async |address: &str, name: &str, password: &str| {
        service.login_from(&[address], name, password).await
    };
    for name in ["a1", "a2"] {
        from("192.0.2.1", name, WRONG)
            .await
            .refused("bad_credentials");
    }
    // Successes neither count as failures nor reset them.
    for _ in 0..5 {
        from("192.0.2.1", "someone", PASSWORD).await.succeeded();
    }
    from("192.0.2.1", "a3", WRONG)
        .await
        .refused("bad_credentials");
    assert_eq!(
        from("192.0.2.1", "someone", PASSWORD)
            .await
            .assert_rate_limited(),
        30
    );
    from("192.0.2.2", "someone", PASSWORD).await.succeeded();
}

#[tokio::test]
async fn addresses_of_one_ipv6_prefix_share_a_limit() {
    let service =
        Service::behind_proxy(|config| config.limits.login_failures_per_address = 2).await;
    for address in ["2001:db8:0:1::1", "[2001:db8:0:1:ffff::2]:4711"] {
        let response = service.login_from(&[address], address, WRONG).await;
        response.refused("bad_credentials");
    }
    service
        .login_from(&["2001:db8:0:1::3"], "someone", WRONG)
        .await
        .assert_rate_limited();
    service
        .login_from(&["2001:db8:0:2::1"], "someone", WRONG)
        .await
        .refused("bad_credentials");
    // An IPv4 address and its IPv6-mapped form are the same client.
    for address in ["192.0.2.1", "::ffff:192.0.2.1"] {
        let response = service.login_from(&[address], address, WRONG).await;
        response.refused("bad_credentials");
    }
    service
        .login_from(&["192.0.2.1:80"], "other", WRONG)
        .await
        .assert_rate_limited();
}

#[tokio::test]
async fn forwarded_addresses_are_accepted_only_from_trusted_proxies() {
    let one = |config: &mut Config| config.limits.login_failures_per_address = 1;
    let direct = Service::start_with(one).await;
    direct
        .login_from(&["192.0.2.1"], "a1", WRONG)
        .await
        .refused("bad_credentials");
    direct
        .login_from(&["192.0.2.2"], "a2", WRONG)
        .await
        .assert_rate_limited();

    let proxied = Service::behind_proxy(|config| {
        one(config);
        let inner = "10.0.0.0/8".parse().unwrap();
        config.server.trusted_proxies.push(inner);
    })
    .await;
    let refused = async |forwarded: &[&str]| {
        let response = proxied.login_from(forwarded, "someone", WRONG).await;
        response.refused("bad_credentials");
    };
    let limited = async |forwarded: &[&str]| {
        proxied
            .login_from(forwarded, "another", WRONG)
            .await
            .assert_rate_limited();
    };
    refused(&["192.0.2.1"]).await;
    // Entries from the client itself come first and are ignored.
    limited(&["198.51.100.7, 192.0.2.1"]).await;
    limited(&["nonsense,,192.0.2.1"]).await;
    limited(&["198.51.100.8", "192.0.2.1"]).await;
    // Trusted proxies are skipped, even across several header lines.
    limited(&["192.0.2.1, 10.1.2.3", "10.4.5.6"]).await;
    refused(&["192.0.2.2, 10.1.2.3"]).await;
    // If the last entry is no address, the proxy itself is the client.
    refused(&["192.0.2.3, unknown"]).await;
    limited(&["unknown"]).await;
    limited(&[]).await;
    // All entries are trusted proxies, so the first one is the client.
    refused(&["10.9.9.9, 10.1.2.3"]).await;
    limited(&["10.9.9.9"]).await;
}

#[tokio::test]
async fn limits_survive_a_restart_and_apply_on_all_nodes() {
    let service = Service::start().await;
    service.fail("someone", 10).await;
    let service = service.restarted(|_| {}).await;
    assert_eq!(
        service.login("someone", WRONG).await.assert_rate_limited(),
        30
    );
    let node = service.second_node().await;
    assert_eq!(node.login("someone", WRONG).await.assert_rate_limited(), 30);
    node.fail("other", 10).await;
    service.login("other", WRONG).await.assert_rate_limited();
}

#[tokio::test]
async fn an_allowance_recovers_gradually_and_recovered_rows_are_deleted() {
    let service = Service::start().await;
    service.fail("someone", 10).await;
    // One of ten failures recovers every 36 minutes, all of them within six hours.
    service.advance(Duration::from_secs(36 * 60));
    service.fail("someone", 1).await;
    service.login("someone", WRONG).await.assert_rate_limited();
    service.advance(Duration::from_secs(6 * 60 * 60));
    service.fail("someone", 10).await;
    service.login("someone", WRONG).await.assert_rate_limited();
    let database = sea_orm::Database::connect(service.database_url())
        .await
        .unwrap();
    let rows = async || {
        use sea_orm::PaginatorTrait;
        service
            .app
            .database
            .delete_expired_attempts(service.clock.now())
            .await
            .unwrap();
        attempts::Entity::find().count(&database).await.unwrap()
    };
    assert_eq!(rows().await, 2);
    // More rows than are deleted in one batch, besides rows that still count.
    let old = (0..2500).map(|number| attempts::Model {
        subject: format!("old {number}"),
        tat: 1,
        next_at: 1,
    });
    let rows_added = attempts::Entity::insert_many(old.map(IntoActiveModel::into_active_model));
    rows_added.exec(&database).await.unwrap();
    assert_eq!(rows().await, 2);
    service.advance(Duration::from_secs(6 * 60 * 60));
    assert_eq!(rows().await, 0);
}

#[tokio::test]
async fn registrations_and_taken_names_count_towards_the_limit_and_invalid_forms_do_not() {
    let service = Service::behind_proxy(|config| config.limits.registrations_per_address = 4).await;
    let register = async |address: &str, username: &str| {
        let form = json!({ "username": username, "password": PASSWORD });
        let request = service
            .post("/user/register")
            .header("X-Forwarded-For", address);
        request.json(&form).submit().await
    };
    register("192.0.2.1", "first").await.succeeded();
    register("192.0.2.1", "FIRST")
        .await
        .refused("username_taken");
    for _ in 0..5 {
        register("192.0.2.1", "x").await.refused("invalid_field");
    }
    register("192.0.2.1", "second").await.succeeded();
    register("192.0.2.1", "third").await.succeeded();
    assert_eq!(
        register("192.0.2.1", "fourth").await.assert_rate_limited(),
        30
    );
    register("192.0.2.2", "fourth").await.succeeded();
}

#[tokio::test]
async fn limits_can_be_disabled() {
    let service = Service::start_with(|config| {
        config.limits.enabled = false;
        config.limits.registrations_per_address = 1;
    })
    .await;
    service.register("first").await.succeeded();
    service.register("second").await.succeeded();
    service.fail("someone", 30).await;
}
