//! Random orders of renewals, lost answers, replays and log-outs, held against what the contract says of them.

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

/// One service for all cases: each has a session of its own, and time only goes on.
struct Ground {
    service: Service,
    user: User,
}

impl Ground {
    async fn new() -> Self {
        let service = Service::start().await;
        service.register("someone").await.succeeded();
        let password = PASSWORD.to_owned().into();
        let accounts = &service.app.accounts;
        let opened = accounts.authenticate("someone", &password, Ipv4Addr::LOCALHOST.into());
        let user = opened.await.unwrap();
        Self { service, user }
    }

    async fn begin(&self) -> TokenPair {
        let sessions = &self.service.app.sessions;
        sessions.begin(&self.user, "").await.unwrap()
    }

    async fn log_out(&self, session: i64) {
        self.service.app.sessions.end(session).await.unwrap();
    }

    fn pass(&self, milliseconds: u64) {
        self.service.pass(Duration::from_millis(milliseconds));
    }

    /// Judges a refresh token, as the head of a request does.
    async fn judge(&self, token: &SecretString) -> Option<PendingRotation> {
        let caller = self.service.app.sessions.verify_refresh(token).await.ok()?;
        caller.pending_rotation
    }

    /// Hands out what a judged token yields, as the answer to the request does.
    async fn answer(&self, renewal: PendingRotation) -> Option<TokenPair> {
        self.service.app.sessions.rotate(renewal).await.ok()
    }

    /// The session that an access token opens.
    async fn open(&self, access: &SecretString) -> Option<i64> {
        let sessions = &self.service.app.sessions;
        let caller = sessions.authenticate(Some(access), None).await.ok()?;
        Some(caller.session)
    }
}

/// Runs a property on random values, each on the same ground.
fn hold<S: Strategy>(strategy: S, property: impl AsyncFn(&Ground, S::Value)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ground = runtime.block_on(Ground::new());
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&strategy, |value| {
            runtime.block_on(property(&ground, value));
            Ok(())
        })
        .unwrap();
}

/// What anyone who holds some of a session's tokens may do.
#[derive(Clone, Debug)]
enum Move {
    /// A request comes in with one of the refresh tokens handed out so far; 0 is the newest.
    Send {
        age: usize,
    },
    /// One of the requests that are being served is answered.
    Answer {
        which: usize,
    },
    Pass {
        milliseconds: u64,
    },
    LogOut,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let time = prop_oneof![0..2_u64, GRACE - 1..GRACE + 2, 0..3 * GRACE];
    let one = prop_oneof![
        8 => (0..4_usize).prop_map(|age| Move::Send { age: age.saturating_sub(1) }),
        8 => any::<usize>().prop_map(|which| Move::Answer { which }),
        4 => time.prop_map(|milliseconds| Move::Pass { milliseconds }),
        1 => Just(Move::LogOut),
    ];
    prop::collection::vec(one, 1..STEPS)
}

/// The contract, in memory.
struct Model {
    newest: usize,
    rotated: u64,
    live: bool,
    now: u64,
}

impl Model {
    /// The token before the newest is good for the grace; any older one ends the session.
    fn judge(&mut self, generation: usize) -> bool {
        let in_grace = generation + 1 == self.newest && self.now - self.rotated <= GRACE;
        self.live &= generation == self.newest || in_grace;
        self.live
    }

    /// The first answer moves on; the others yield the same, and nothing where more was handed out since.
    fn answer(&mut self, generation: usize) -> Option<usize> {
        if !self.live || generation + 1 < self.newest {
            return None;
        }
        if generation == self.newest {
            self.newest += 1;
            self.rotated = self.now;
        }
        Some(self.newest)
    }
}

#[test]
fn any_order_of_events_ends_as_the_contract_says() {
    hold(moves(), async |ground, moves| {
        let first = ground.begin().await;
        let session = ground.open(&first.access).await.unwrap();
        let mut model = Model {
            newest: 0,
            rotated: 0,
            live: true,
            now: 0,
        };
        let mut newest = first.access;
        let mut handed_out = 0;
        // The index of a token is its generation.
        let mut tokens = vec![first.refresh];
        let mut served: Vec<(usize, PendingRotation)> = Vec::new();
        for step in moves {
            match step {
                Move::Send { age } => {
                    let generation = tokens.len().saturating_sub(age + 1);
                    let renewal = ground.judge(&tokens[generation]).await;
                    assert_eq!(renewal.is_some(), model.judge(generation));
                    served.extend(renewal.map(|renewal| (generation, renewal)));
                }
                Move::Answer { which } => {
                    if served.is_empty() {
                        continue;
                    }
                    let (generation, renewal) = served.swap_remove(which % served.len());
                    let pair = ground.answer(renewal).await;
                    let expected = model.answer(generation);
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
                        handed_out = model.now;
                    }
                }
                Move::Pass { milliseconds } => {
                    ground.pass(milliseconds);
                    model.now += milliseconds;
                }
                Move::LogOut => {
                    ground.log_out(session).await;
                    model.live = false;
                }
            }
        }
        // Whatever ended the session ended all that was ever handed out in it.
        let fresh = model.now - handed_out < 15 * 60 * 1000;
        assert_eq!(ground.open(&newest).await.is_some(), model.live && fresh);
        if !model.live {
            for token in &tokens {
                assert!(ground.judge(token).await.is_none());
            }
        }
    });
}

/// What befalls an honest client: it sends what it was last given, several requests at a time, over a network that
/// delays and loses; it asks again within the grace where an answer was lost.
#[derive(Clone, Debug)]
enum Event {
    Request,
    /// A request reaches the service.
    Arrival {
        which: usize,
    },
    /// The service is done with a request; the answer arrives, or is lost.
    Answer {
        which: usize,
        lost: bool,
    },
    /// Less than the network's delay.
    Moment {
        milliseconds: u64,
    },
    /// Longer than the grace; as long as an upload may take, and shorter than an access token's life.
    While,
    /// So long that the access token's time is over.
    LongTime,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = prop_oneof![
        6 => Just(Event::Request),
        6 => any::<usize>().prop_map(|which| Event::Arrival { which }),
        6 => any::<(usize, bool)>().prop_map(|(which, lost)| Event::Answer { which, lost }),
        2 => (0..3000_u64).prop_map(|milliseconds| Event::Moment { milliseconds }),
        1 => Just(Event::While),
        2 => Just(Event::LongTime),
    ];
    prop::collection::vec(one, 1..2 * STEPS)
}

struct Client<'a> {
    ground: &'a Ground,
    held: TokenPair,
    on_the_way: Vec<TokenPair>,
    /// Uploads may take a while: they are judged at their start.
    served: Vec<Option<PendingRotation>>,
    /// Whether the last answer was lost.
    owed: bool,
    /// The time that has passed since all was quiet.
    passed: u64,
}

impl Client<'_> {
    async fn arrive(&mut self, which: usize) {
        let sent = self.on_the_way.swap_remove(which);
        let sessions = &self.ground.service.app.sessions;
        let caller = sessions
            .authenticate(Some(&sent.access), Some(&sent.refresh))
            .await;
        // Were this refused, a live user would be logged out.
        self.served.push(caller.unwrap().pending_rotation);
    }

    async fn answer(&mut self, which: usize, lost: bool) {
        let Some(renewal) = self.served.swap_remove(which) else {
            return;
        };
        let Some(pair) = self.ground.answer(renewal).await else {
            // Newer tokens than this answer could bring were on other answers.
            return;
        };
        self.owed = lost;
        if !lost {
            self.held = pair;
        }
    }

    /// Lets all that is on the way arrive, and asks again where an answer was lost.
    async fn catch_up(&mut self) {
        if self.owed {
            self.on_the_way.push(self.held.clone());
        }
        while !self.on_the_way.is_empty() {
            self.arrive(0).await;
            self.answer(self.served.len() - 1, false).await;
        }
    }

    fn pass(&mut self, milliseconds: u64) {
        self.passed += milliseconds;
        self.ground.pass(milliseconds);
    }

    /// Lets everything come to its end, and then time pass until the access token's is over.
    async fn long_time(&mut self) {
        self.catch_up().await;
        while !self.served.is_empty() {
            self.answer(0, false).await;
        }
        self.pass(20 * 60 * 1000);
        self.passed = 0;
    }
}

#[test]
fn no_race_and_no_lost_answer_logs_an_honest_client_out() {
    hold(events(), async |ground, events| {
        let mut client = Client {
            ground,
            held: ground.begin().await,
            on_the_way: Vec::new(),
            served: Vec::new(),
            owed: false,
            passed: 0,
        };
        for event in events {
            match event {
                Event::Request => client.on_the_way.push(client.held.clone()),
                Event::Arrival { which } if !client.on_the_way.is_empty() => {
                    client.arrive(which % client.on_the_way.len()).await;
                }
                Event::Answer { which, lost } if !client.served.is_empty() => {
                    client.answer(which % client.served.len(), lost).await;
                }
                Event::Arrival { .. } | Event::Answer { .. } => {}
                Event::Moment { milliseconds } if client.passed + milliseconds <= GRACE => {
                    client.pass(milliseconds);
                }
                Event::While if client.passed <= GRACE => {
                    client.catch_up().await;
                    client.pass(4 * 60 * 1000);
                }
                Event::Moment { .. } | Event::While | Event::LongTime => client.long_time().await,
            }
        }
        client.long_time().await;
        client.on_the_way.push(client.held.clone());
        client.catch_up().await;
    });
}
