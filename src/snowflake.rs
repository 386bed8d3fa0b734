//! Identifiers that grow with time and differ between nodes, in the layout of Twitter's "snowflake"
//! (2010).
//!
//! | Bits | Content |
//! |---|---|
//! | 41 | Milliseconds since 2024-01-01 00:00 UTC, enough until 2093 |
//! | 10 | Number of the node |
//! | 12 | Sequence number within the millisecond |

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    clock::{Clock, Milliseconds},
    failure::Failure,
};

/// Maximum number of nodes.
pub const MAX_NODES: u16 = 1 << NODE_BITS;
/// 2024-01-01 00:00 UTC. Changing it would repeat identifiers.
const EPOCH: Milliseconds = 1_704_067_200_000;
const NODE_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;
const MAX_SEQUENCE: i64 = 1 << SEQUENCE_BITS;
/// Maximum wait for an identifier, if the clock stepped back or the node's lease has ended.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Generates identifiers for one node.
#[derive(Debug)]
pub struct Snowflakes {
    clock: Clock,
    state: Mutex<GeneratorState>,
}

#[derive(Debug)]
struct GeneratorState {
    node: Node,
    /// Millisecond of the last identifier, and number of identifiers generated in it.
    last: (Milliseconds, i64),
}

/// The number of a node and its validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Number of the node, less than [`MAX_NODES`].
    pub number: u16,
    /// End of the validity, by the monotonic clock, which nobody can set. Absent: no end.
    pub valid_until: Option<Instant>,
}

impl Snowflakes {
    /// Creates a generator. No two running nodes of a database may have the same number.
    #[must_use]
    pub fn new(clock: Clock, node: Node) -> Self {
        Self {
            clock,
            state: Mutex::new(GeneratorState {
                node,
                last: (EPOCH, 0),
            }),
        }
    }

    /// Replaces the node's number, or extends its validity.
    pub fn set_node(&self, node: Node) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .node = node;
    }

    /// Generates an identifier, greater than all before it.
    ///
    /// Waits if the clock stepped back, if this millisecond already has 4,096 identifiers, or if
    /// the node's number is no longer valid.
    ///
    /// # Errors
    /// [`Failure::Busy`] if the wait takes more than five seconds.
    pub async fn next(&self) -> Result<i64, Failure> {
        let wait = async {
            loop {
                if let Some(id) = self.try_next() {
                    return id;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let id = tokio::time::timeout(MAX_WAIT, wait).await;
        id.map_err(|_| {
            let cause = "cannot generate an identifier: the clock stepped back, \
                 or this node's number expired";
            Failure::busy_because(MAX_WAIT, cause)
        })
    }

    fn try_next(&self) -> Option<i64> {
        // A time before the epoch would make the identifier negative.
        let now = self.clock.now().max(EPOCH);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state
            .node
            .valid_until
            .is_some_and(|until| Instant::now() >= until)
        {
            return None;
        }
        let sequence = match now.cmp(&state.last.0) {
            std::cmp::Ordering::Greater => 0,
            std::cmp::Ordering::Equal if state.last.1 < MAX_SEQUENCE => state.last.1,
            // The sequence is full, or the clock stepped back: identifiers would repeat.
            _ => return None,
        };
        state.last = (now, sequence + 1);
        // A larger number would change the bits of the time.
        let node = i64::from(state.node.number % MAX_NODES);
        Some(((now - EPOCH) << (NODE_BITS + SEQUENCE_BITS)) | (node << SEQUENCE_BITS) | sequence)
    }
}

impl Node {
    /// The only node of a database.
    pub const SINGLE: Self = Self {
        number: 0,
        valid_until: None,
    };
    /// A command that runs beside the only node. It has the highest number, the node the lowest.
    pub const COMMAND: Self = Self {
        number: MAX_NODES - 1,
        valid_until: None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(clock: Clock, number: u16) -> Snowflakes {
        Snowflakes::new(
            clock,
            Node {
                number,
                valid_until: None,
            },
        )
    }

    #[tokio::test]
    async fn identifiers_grow_and_carry_time_and_node() {
        let clock = Clock::manual(EPOCH + 5);
        let ids = generator(clock.clone(), 3);
        let first = ids.next().await.unwrap();
        let second = ids.next().await.unwrap();
        clock.advance(Duration::from_millis(1));
        let third = ids.next().await.unwrap();
        assert_eq!(first, (5 << 22) | (3 << 12));
        assert_eq!(second, first + 1);
        assert_eq!(third, (6 << 22) | (3 << 12));
    }

    #[test]
    fn no_identifier_in_a_full_millisecond_or_after_the_clock_stepped_back() {
        let clock = Clock::manual(EPOCH + 5);
        let ids = generator(clock.clone(), 0);
        assert_eq!(
            (0..MAX_SEQUENCE + 1).filter_map(|_| ids.try_next()).count(),
            4096
        );
        let Clock::Manual(now) = &clock else {
            panic!("the clock is manual")
        };
        now.store(EPOCH + 4, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(ids.try_next(), None);
    }

    #[test]
    fn no_identifier_after_the_number_has_expired_until_there_is_a_new_one() {
        let now = Instant::now();
        let ids = generator(Clock::manual(EPOCH + 5), 3);
        ids.set_node(Node {
            number: 3,
            valid_until: Some(now),
        });
        assert_eq!(ids.try_next(), None);
        ids.set_node(Node {
            number: 4,
            valid_until: Some(now + Duration::from_secs(3600)),
        });
        assert_eq!(ids.try_next(), Some((5 << 22) | (4 << 12)));
    }
}
