use std::time::Duration;

use reqwest::Method;
use sea_orm::{EntityTrait, IntoActiveModel};
use serde_json::json;
use veraicon::{config::Config, database::attempts};

use crate::service::{Answer, PASSWORD, Send, Service, Session};

const WRONG: &str = "wrong horse 9";

impl Service {
    /// Behind a proxy of ours, which tells the client's address.
    async fn proxied(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_with(|config| {
            config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
            change(config);
        })
        .await
    }

    async fn login_from(&self, forwarded: &[&str], username: &str, password: &str) -> Answer {
        let mut request = self.post("/user/login");
        for line in forwarded {
            request = request.header("X-Forwarded-For", *line);
        }
        let form = json!({ "username": username, "password": password });
        request.json(&form).answer().await
    }

    async fn new_password(&self, session: &Session, old: &str) -> Answer {
        let form = json!({ "old_password": old, "new_password": "battery staple 9" });
        let request = self.request(Method::PUT, "/user/password").with(session);
        request.json(&form).answer().await
    }

    async fn fail(&self, username: &str, times: usize) {
        for _ in 0..times {
            self.login(username, WRONG).await.refused("bad_credentials");
        }
    }
}

#[tokio::test]
async fn after_ten_failures_waits_grow_to_a_quarter_of_an_hour() {
    let service = Service::start().await;
    service.register("someone").await.succeeded();
    service.fail("someone", 10).await;
    for wait in [30, 60, 120, 240, 480, 900, 900, 900] {
        assert_eq!(service.login("someone", WRONG).await.limited(), wait);
        service.pass(Duration::from_millis(wait * 1000 - 1));
        // The right password is no better: else it could be told from wrong ones.
        assert_eq!(service.login("someone", PASSWORD).await.limited(), 1);
        service.pass(Duration::from_millis(1));
        service.fail("someone", 1).await;
    }
    service.pass(Duration::from_secs(900));
    service.login("someone", PASSWORD).await.succeeded();
    service.fail("someone", 10).await;
}

#[tokio::test]
async fn the_wait_is_told_in_words_and_to_programs() {
    let service = Service::start().await;
    service.fail("someone", 10).await;
    service.pass(Duration::from_secs(30));
    service.fail("someone", 1).await;
    service.pass(Duration::from_millis(500));
    let form = json!({ "username": "someone", "password": WRONG });
    let ask = async |name: &'static str, value: &str| {
        let request = service.post("/user/login").header(name, value);
        request.json(&form).answer().await
    };
    let chinese = ask("Accept-Language", "zh").await;
    assert_eq!(chinese.message(), "尝试次数过多，请在 1 分后重试");
    service.pass(Duration::from_secs(1));
    let english = ask("Accept-Language", "en").await;
    assert_eq!(english.message(), "too many attempts: try again in 59 s");
    let problem = ask("Accept", "application/problem+json").await;
    assert_eq!(problem.status, 429);
    assert_eq!(problem.body["reason"], "rate_limited");
    assert_eq!(problem.headers["retry-after"], "59");
}

#[tokio::test]
async fn names_that_nobody_has_are_throttled_like_all_others() {
    let service = Service::start().await;
    service.register("someone").await.succeeded();
    let mut seen = Vec::new();
    for name in ["someone", "SomeOne", "nobody", "\0"] {
        let mut answers = Vec::new();
        for _ in 0..12 {
            let answer = service.login(name, WRONG).await;
            answers.push((answer.status, answer.body));
        }
        seen.push(answers);
    }
    let [known, other_case, unknown, impossible] = seen.try_into().unwrap();
    assert_eq!(known, unknown);
    assert_eq!(known, impossible);
    // Another way to write the name is the same account.
    assert!(other_case.iter().all(|(status, _)| *status == 429));
}

#[tokio::test]
async fn live_sessions_go_on_and_may_set_a_new_password_while_logins_wait() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    service.fail("someone", 10).await;
    service.login("someone", PASSWORD).await.limited();
    service.info(&session).await;
    service.pass(Duration::from_secs(15 * 60));
    let renewed = service
        .post("/user/refresh")
        .header("Refresh-Token", &session.refresh);
    let session = Session::of(renewed.answer().await.succeeded());
    service.fail("someone", 1).await;
    service.login("someone", PASSWORD).await.limited();
    let changed = service.new_password(&session, PASSWORD).await;
    service.info(&Session::of(changed.succeeded())).await;
}

#[tokio::test]
async fn guesses_from_within_a_session_wait_too_and_hinder_no_login() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    for _ in 0..10 {
        service
            .new_password(&session, WRONG)
            .await
            .refused("bad_credentials");
    }
    let answer = service.new_password(&session, PASSWORD).await;
    assert_eq!(answer.limited(), 30);
    service.info(&session).await;
    service.login("someone", PASSWORD).await.succeeded();
}

#[tokio::test]
async fn a_login_that_succeeds_makes_up_for_failures_to_the_account() {
    let service = Service::start().await;
    service.register("someone").await.succeeded();
    for _ in 0..3 {
        service.fail("someone", 9).await;
        service.login("someone", PASSWORD).await.succeeded();
    }
}

#[tokio::test]
async fn guesses_in_parallel_get_no_more_than_the_allowance() {
    let service = Service::start_with(|config| {
        config.limits.login_failures_per_account = 5;
    })
    .await;
    service.register("someone").await.succeeded();
    let guess = async || loop {
        let answer = service.login("someone", WRONG).await;
        if answer.status != 503 {
            return answer;
        }
    };
    let answers = futures_util::future::join_all((0..60).map(|_| guess())).await;
    let judged = answers.iter().filter(|answer| answer.status == 200);
    assert_eq!(judged.count(), 5);
}

#[tokio::test]
async fn an_address_may_fail_so_often_whatever_names_it_tries() {
    let service = Service::proxied(|config| config.limits.login_failures_per_address = 3).await;
    service.register("someone").await.succeeded();
    let from = async |address: &str, name: &str, password: &str| {
        service.login_from(&[address], name, password).await
    };
    for name in ["a1", "a2"] {
        from("192.0.2.1", name, WRONG)
            .await
            .refused("bad_credentials");
    }
    // Successes count for nothing, and make up for nothing.
    for _ in 0..5 {
        from("192.0.2.1", "someone", PASSWORD).await.succeeded();
    }
    from("192.0.2.1", "a3", WRONG)
        .await
        .refused("bad_credentials");
    assert_eq!(from("192.0.2.1", "someone", PASSWORD).await.limited(), 30);
    from("192.0.2.2", "someone", PASSWORD).await.succeeded();
}

#[tokio::test]
async fn all_addresses_of_an_ipv6_site_are_one() {
    let service = Service::proxied(|config| config.limits.login_failures_per_address = 2).await;
    for address in ["2001:db8:0:1::1", "[2001:db8:0:1:ffff::2]:4711"] {
        let answer = service.login_from(&[address], address, WRONG).await;
        answer.refused("bad_credentials");
    }
    service
        .login_from(&["2001:db8:0:1::3"], "someone", WRONG)
        .await
        .limited();
    service
        .login_from(&["2001:db8:0:2::1"], "someone", WRONG)
        .await
        .refused("bad_credentials");
    // An IPv4 address is the same address in either form.
    for address in ["192.0.2.1", "::ffff:192.0.2.1"] {
        let answer = service.login_from(&[address], address, WRONG).await;
        answer.refused("bad_credentials");
    }
    service
        .login_from(&["192.0.2.1:80"], "other", WRONG)
        .await
        .limited();
}

#[tokio::test]
async fn forwarded_addresses_are_believed_of_our_proxies_alone() {
    let one = |config: &mut Config| config.limits.login_failures_per_address = 1;
    let alone = Service::start_with(one).await;
    alone
        .login_from(&["192.0.2.1"], "a1", WRONG)
        .await
        .refused("bad_credentials");
    alone
        .login_from(&["192.0.2.2"], "a2", WRONG)
        .await
        .limited();

    let proxied = Service::proxied(|config| {
        one(config);
        let inner = "10.0.0.0/8".parse().unwrap();
        config.server.trusted_proxies.push(inner);
    })
    .await;
    let refused = async |forwarded: &[&str]| {
        let answer = proxied.login_from(forwarded, "someone", WRONG).await;
        answer.refused("bad_credentials");
    };
    let limited = async |forwarded: &[&str]| {
        proxied
            .login_from(forwarded, "another", WRONG)
            .await
            .limited();
    };
    refused(&["192.0.2.1"]).await;
    // What the client itself wrote stands before, and is not looked at.
    limited(&["198.51.100.7, 192.0.2.1"]).await;
    limited(&["nonsense,,192.0.2.1"]).await;
    limited(&["198.51.100.8", "192.0.2.1"]).await;
    // Proxies of ours are passed over, in as many lines as they like.
    limited(&["192.0.2.1, 10.1.2.3", "10.4.5.6"]).await;
    refused(&["192.0.2.2, 10.1.2.3"]).await;
    // Where the nearest entry is no address, the proxy itself is the client.
    refused(&["192.0.2.3, unknown"]).await;
    limited(&["unknown"]).await;
    limited(&[]).await;
    // From within our own network alone.
    refused(&["10.9.9.9, 10.1.2.3"]).await;
    limited(&["10.9.9.9"]).await;
}

#[tokio::test]
async fn a_restart_forgets_nothing_and_other_nodes_know() {
    let service = Service::start().await;
    service.fail("someone", 10).await;
    let service = service.restarted(|_| {}).await;
    assert_eq!(service.login("someone", WRONG).await.limited(), 30);
    let node = service.second_node().await;
    assert_eq!(node.login("someone", WRONG).await.limited(), 30);
    node.fail("other", 10).await;
    service.login("other", WRONG).await.limited();
}

#[tokio::test]
async fn an_allowance_recovers_one_by_one_and_what_has_recovered_is_forgotten() {
    let service = Service::start().await;
    service.fail("someone", 10).await;
    // A tenth of six hours.
    service.pass(Duration::from_secs(36 * 60));
    service.fail("someone", 1).await;
    service.login("someone", WRONG).await.limited();
    service.pass(Duration::from_secs(6 * 60 * 60));
    service.fail("someone", 10).await;
    service.login("someone", WRONG).await.limited();
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
    // More than are removed at once, and one that still counts.
    let old = (0..2500).map(|number| attempts::Model {
        subject: format!("old {number}"),
        tat: 1,
        next_at: 1,
    });
    let rows_added = attempts::Entity::insert_many(old.map(IntoActiveModel::into_active_model));
    rows_added.exec(&database).await.unwrap();
    assert_eq!(rows().await, 2);
    service.pass(Duration::from_secs(6 * 60 * 60));
    assert_eq!(rows().await, 0);
}

#[tokio::test]
async fn accounts_that_an_address_makes_and_names_that_it_tries_out_are_counted_and_slips_are_not()
{
    let service = Service::proxied(|config| config.limits.registrations_per_address = 4).await;
    let register = async |address: &str, username: &str| {
        let form = json!({ "username": username, "password": PASSWORD });
        let request = service
            .post("/user/register")
            .header("X-Forwarded-For", address);
        request.json(&form).answer().await
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
    assert_eq!(register("192.0.2.1", "fourth").await.limited(), 30);
    register("192.0.2.2", "fourth").await.succeeded();
}

#[tokio::test]
async fn limits_can_be_switched_off() {
    let service = Service::start_with(|config| {
        config.limits.enabled = false;
        config.limits.registrations_per_address = 1;
    })
    .await;
    service.register("first").await.succeeded();
    service.register("second").await.succeeded();
    service.fail("someone", 30).await;
}
