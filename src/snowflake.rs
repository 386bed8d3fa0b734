//! Identifiers that grow with time and differ between nodes: 41 bits of milliseconds since 2024-01-01,
//! 10 bits of node, 12 bits of sequence (Twitter's "snowflake" layout, 2010).

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    clock::{Clock, Milliseconds},
    failure::Failure,
};

/// How many nodes there can be.
pub const MAX_NODES: u16 = 1 << NODE_BITS;
/// 2024-01-01 00:00 UTC.
const EPOCH: Milliseconds = 1_704_067_200_000;
const NODE_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;
const MAX_SEQUENCE: i64 = 1 << SEQUENCE_BITS;
/// How long an identifier is waited for: for a clock that stepped back, or a node whose number has run out.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Makes identifiers for one node.
#[derive(Debug)]
pub struct Snowflakes {
    clock: Clock,
    state: Mutex<GeneratorState>,
}

#[derive(Debug)]
struct GeneratorState {
    node: Node,
    /// The millisecond of the last identifier, and how many were made in it.
    last: (Milliseconds, i64),
}

/// The number of a node, and how long it may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Below [`MAX_NODES`].
    pub number: u16,
    /// Until when, by a clock that nobody can set; always, where no other node can be.
    pub valid_until: Option<Instant>,
}

impl Snowflakes {
    /// A maker for a node. No two nodes that run at once may have the same number.
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

    /// Goes on under another number, or under the same one for longer.
    pub fn set_node(&self, node: Node) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .node = node;
    }

    /// A new identifier, greater than all before it.
    ///
    /// Waits where the clock stepped back, or where 4,096 were made within this millisecond, or the node's number has run out.
    ///
    /// # Errors
    /// [`Failure::Busy`] where that takes more than five seconds.
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
            let cause =
                "no identifier can be made: the clock stepped back, or this node lost its number";
            Failure::busy_because(MAX_WAIT, cause)
        })
    }

    fn try_next(&self) -> Option<i64> {
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
            _ => return None,
        };
        state.last = (now, sequence + 1);
        let node = i64::from(state.node.number % MAX_NODES);
        Some(((now - EPOCH) << (NODE_BITS + SEQUENCE_BITS)) | (node << SEQUENCE_BITS) | sequence)
    }
}

impl Node {
    /// The only node that there is.
    pub const SINGLE: Self = Self {
        number: 0,
        valid_until: None,
    };
    /// A command beside the only node.
    pub const COMMAND: Self = Self {
        number: MAX_NODES - 1,
        valid_until: None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker(clock: Clock, number: u16) -> Snowflakes {
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
        let ids = maker(clock.clone(), 3);
        let first = ids.next().await.unwrap();
        let second = ids.next().await.unwrap();
        clock.advance(Duration::from_millis(1));
        let third = ids.next().await.unwrap();
        assert_eq!(first, (5 << 22) | (3 << 12));
        assert_eq!(second, first + 1);
        assert_eq!(third, (6 << 22) | (3 << 12));
    }

    #[test]
    fn a_full_millisecond_and_a_clock_that_stepped_back_yield_nothing() {
        let clock = Clock::manual(EPOCH + 5);
        let ids = maker(clock.clone(), 0);
        assert_eq!(
            (0..MAX_SEQUENCE + 1).filter_map(|_| ids.try_next()).count(),
            4096
        );
        let Clock::Manual(now) = &clock else {
            panic!("the clock is held")
        };
        now.store(EPOCH + 4, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(ids.try_next(), None);
    }

    #[test]
    fn a_node_whose_number_has_run_out_makes_nothing_until_it_has_one_again() {
        let now = Instant::now();
        let ids = maker(Clock::manual(EPOCH + 5), 3);
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
