//! Property tests of token rotation: random sequences of renewals, lost responses, replays and
//! logouts, compared with a model.

use std::{net::Ipv4Addr, time::Duration};

use proptest::{prelude::*, test_runner::TestRunner};
use secrecy::{ExposeSecret, SecretString};
use veraicon::{
    auth::{session::PendingRotation, token::TokenPair},
    database::User,
};

use crate::service::{PASSWORD, Service};

const STEPS: usize = 40;
const GRACE: u64 = 30_000;

/// The service that all cases share. Each case has its own session. The clock is never reset.
struct Harness {
    service: Service,
    user: User,
}

impl Harness {
    async fn new() -> Self {
        let service = Service::start().await;
        service.register("someone").await.succeeded();
        let password = PASSWORD.to_owned().into();
        let accounts = &service.app.accounts;
        let authenticated = accounts.authenticate("someone", &password, Ipv4Addr::LOCALHOST.into());
        let user = authenticated.await.unwrap();
        Self { service, user }
    }

    async fn begin(&self) -> TokenPair {
        let sessions = &self.service.app.sessions;
        sessions.begin(&self.user, "").await.unwrap()
    }

    async fn log_out(&self, session: i64) {
        self.service.app.sessions.end(session).await.unwrap();
    }

    fn advance(&self, milliseconds: u64) {
        self.service.advance(Duration::from_millis(milliseconds));
    }

    /// Checks a refresh token, as the service does when the head of a request arrives.
    async fn verify(&self, token: &SecretString) -> Option<PendingRotation> {
        let caller = self.service.app.sessions.verify_refresh(token).await.ok()?;
        caller.pending_rotation
    }

    /// Issues the new tokens of a renewal, as the service does when it responds.
    async fn respond(&self, renewal: PendingRotation) -> Option<TokenPair> {
        self.service.app.sessions.rotate(renewal).await.ok()
    }

    /// Returns the session of a valid access token.
    async fn session_of(&self, access: &SecretString) -> Option<i64> {
        let sessions = &self.service.app.sessions;
        let caller = sessions.authenticate(Some(access), None).await.ok()?;
        Some(caller.session)
    }
}

/// Checks a property for random values, all on one service.
fn check_property<S: Strategy>(strategy: S, property: impl AsyncFn(&Harness, S::Value)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let harness = runtime.block_on(Harness::new());
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&strategy, |value| {
            runtime.block_on(property(&harness, value));
            Ok(())
        })
        .unwrap();
}

/// An action of someone who has some of a session's tokens.
#[derive(Clone, Debug)]
enum Action {
    /// A request arrives with one of the issued refresh tokens; age 0 is the newest.
    Request {
        age: usize,
    },
    /// The service responds to one of the pending requests.
    Respond {
        which: usize,
    },
    Advance {
        milliseconds: u64,
    },
    LogOut,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let time = prop_oneof![0..2_u64, GRACE - 1..GRACE + 2, 0..3 * GRACE];
    let one = prop_oneof![
        8 => (0..4_usize).prop_map(|age| Action::Request { age: age.saturating_sub(1) }),
        8 => any::<usize>().prop_map(|which| Action::Respond { which }),
        4 => time.prop_map(|milliseconds| Action::Advance { milliseconds }),
        1 => Just(Action::LogOut),
    ];
    prop::collection::vec(one, 1..STEPS)
}

/// The model of the token contract.
struct Model {
    newest: usize,
    rotated_at: u64,
    live: bool,
    now: u64,
}

impl Model {
    /// Accepts the newest token, and the one before it within the grace period. Any older token
    /// ends the session.
    fn verify(&mut self, generation: usize) -> bool {
        let in_grace = generation + 1 == self.newest && self.now - self.rotated_at <= GRACE;
        self.live &= generation == self.newest || in_grace;
        self.live
    }

    /// Rotates on the first response for a token. Later responses return the same tokens, or none
    /// if newer ones were issued.
    fn respond(&mut self, generation: usize) -> Option<usize> {
        if !self.live || generation + 1 < self.newest {
            return None;
        }
        if generation == self.newest {
            self.newest += 1;
            self.rotated_at = self.now;
        }
        Some(self.newest)
    }
}

#[test]
fn any_sequence_of_actions_matches_the_model() {
    check_property(actions(), async |harness, actions| {
        let first = harness.begin().await;
        let session = harness.session_of(&first.access).await.unwrap();
        let mut model = Model {
            newest: 0,
            rotated_at: 0,
            live: true,
            now: 0,
        };
        let mut newest = first.access;
        let mut issued_at = 0;
        // The index of a token is its generation.
        let mut tokens = vec![first.refresh];
        let mut pending: Vec<(usize, PendingRotation)> = Vec::new();
        for step in actions {
            match step {
                Action::Request { age } => {
                    let generation = tokens.len().saturating_sub(age + 1);
                    let renewal = harness.verify(&tokens[generation]).await;
                    assert_eq!(renewal.is_some(), model.verify(generation));
                    pending.extend(renewal.map(|renewal| (generation, renewal)));
                }
                Action::Respond { which } => {
                    if pending.is_empty() {
                        continue;
                    }
                    let (generation, renewal) = pending.swap_remove(which % pending.len());
                    let pair = harness.respond(renewal).await;
                    let expected = model.respond(generation);
                    assert_eq!(pair.is_some(), expected.is_some());
                    if let (Some(pair), Some(expected)) = (pair, expected) {
                        if expected == tokens.len() {
                            tokens.push(pair.refresh.clone());
                        }
                        assert_eq!(
                            pair.refresh.expose_secret(),
                            tokens[expected].expose_secret()
                        );
                        newest = pair.access;
                        issued_at = model.now;
                    }
                }
                Action::Advance { milliseconds } => {
                    harness.advance(milliseconds);
                    model.now += milliseconds;
                }
                Action::LogOut => {
                    harness.log_out(session).await;
                    model.live = false;
                }
            }
        }
        // Once the session has ended, none of its tokens is valid.
        let fresh = model.now - issued_at < 15 * 60 * 1000;
        assert_eq!(
            harness.session_of(&newest).await.is_some(),
            model.live && fresh
        );
        if !model.live {
            for token in &tokens {
                assert!(harness.verify(token).await.is_none());
            }
        }
    });
}

/// An event of a correct client. It sends the tokens that it received last, with several requests
/// in parallel, over a network that delays requests and loses responses. After a lost response it
/// retries within the grace period.
#[derive(Clone, Debug)]
enum Event {
    Request,
    /// A request reaches the service.
    Arrival {
        which: usize,
    },
    /// The service responds to a request. The response arrives or is lost.
    Response {
        which: usize,
        lost: bool,
    },
    /// A delay of the network, shorter than the grace period.
    ShortDelay {
        milliseconds: u64,
    },
    /// A delay as long as an upload: longer than the grace period, shorter than an access token's
    /// lifetime.
    LongDelay,
    /// A delay after which the access token has expired.
    AccessExpiry,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = prop_oneof![
        6 => Just(Event::Request),
        6 => any::<usize>().prop_map(|which| Event::Arrival { which }),
        6 => any::<(usize, bool)>().prop_map(|(which, lost)| Event::Response { which, lost }),
        2 => (0..3000_u64).prop_map(|milliseconds| Event::ShortDelay { milliseconds }),
        1 => Just(Event::LongDelay),
        2 => Just(Event::AccessExpiry),
    ];
    prop::collection::vec(one, 1..2 * STEPS)
}

struct Client<'a> {
    harness: &'a Harness,
    tokens: TokenPair,
    in_flight: Vec<TokenPair>,
    /// Requests whose tokens were checked on arrival and that have no response yet, such as long
    /// uploads.
    pending: Vec<Option<PendingRotation>>,
    /// Whether the last response was lost.
    last_lost: bool,
    /// Milliseconds since the access token was last renewed.
    elapsed: u64,
}

impl Client<'_> {
    async fn arrive(&mut self, which: usize) {
        let sent = self.in_flight.swap_remove(which);
        let sessions = &self.harness.service.app.sessions;
        let caller = sessions
            .authenticate(Some(&sent.access), Some(&sent.refresh))
            .await;
        // A refusal here would log out a correct client.
        self.pending.push(caller.unwrap().pending_rotation);
    }

    async fn respond(&mut self, which: usize, lost: bool) {
        let Some(renewal) = self.pending.swap_remove(which) else {
            return;
        };
        let Some(pair) = self.harness.respond(renewal).await else {
            // Other responses have already carried newer tokens.
            return;
        };
        self.last_lost = lost;
        if !lost {
            self.tokens = pair;
        }
    }

    /// Delivers all requests in flight. Retries first if the last response was lost.
    async fn settle(&mut self) {
        if self.last_lost {
            self.in_flight.push(self.tokens.clone());
        }
        while !self.in_flight.is_empty() {
            self.arrive(0).await;
            self.respond(self.pending.len() - 1, false).await;
        }
    }

    fn advance(&mut self, milliseconds: u64) {
        self.elapsed += milliseconds;
        self.harness.advance(milliseconds);
    }

    /// Completes all requests, then advances the clock until the access token has expired.
    async fn expire_access(&mut self) {
        self.settle().await;
        while !self.pending.is_empty() {
            self.respond(0, false).await;
        }
        self.advance(20 * 60 * 1000);
        self.elapsed = 0;
    }
}

#[test]
fn races_and_lost_responses_never_log_out_a_correct_client() {
    check_property(events(), async |harness, events| {
        let mut client = Client {
            harness,
            tokens: harness.begin().await,
            in_flight: Vec::new(),
            pending: Vec::new(),
            last_lost: false,
            elapsed: 0,
        };
        for event in events {
            match event {
                Event::Request => client.in_flight.push(client.tokens.clone()),
                Event::Arrival { which } if !client.in_flight.is_empty() => {
                    client.arrive(which % client.in_flight.len()).await;
                }
                Event::Response { which, lost } if !client.pending.is_empty() => {
                    client.respond(which % client.pending.len(), lost).await;
                }
                Event::Arrival { .. } | Event::Response { .. } => {}
                Event::ShortDelay { milliseconds } if client.elapsed + milliseconds <= GRACE => {
                    client.advance(milliseconds);
                }
                Event::LongDelay if client.elapsed <= GRACE => {
                    client.settle().await;
                    client.advance(4 * 60 * 1000);
                }
                Event::ShortDelay { .. } | Event::LongDelay | Event::AccessExpiry => {
                    client.expire_access().await;
                }
            }
        }
        client.expire_access().await;
        client.in_flight.push(client.tokens.clone());
        client.settle().await;
    });
}
