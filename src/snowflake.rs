//! Identifiers that grow with time and differ between nodes: 41 bits of milliseconds since 2024-01-01,
//! 10 bits of node, 12 bits of sequence (Twitter's "snowflake" layout, 2010).

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::clock::{Clock, Milliseconds};

/// 2024-01-01 00:00 UTC.
const EPOCH: Milliseconds = 1_704_067_200_000;
const NODE_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;
const SEQUENCE_END: i64 = 1 << SEQUENCE_BITS;

/// Makes identifiers for one node.
#[derive(Debug)]
pub struct Snowflakes {
    clock: Clock,
    node: i64,
    /// The millisecond of the last identifier, and how many were made in it.
    last: Mutex<(Milliseconds, i64)>,
}

impl Snowflakes {
    /// A maker for the node of this number; no two that run at once may share one. Of `node` the low 10 bits count.
    #[must_use]
    pub fn new(clock: Clock, node: u16) -> Self {
        Self {
            clock,
            node: i64::from(node) & ((1 << NODE_BITS) - 1),
            last: Mutex::new((EPOCH, 0)),
        }
    }

    /// A new identifier, greater than all before it.
    ///
    /// Waits where the clock stepped back, or where 4,096 were made within this millisecond.
    pub async fn next(&self) -> i64 {
        loop {
            if let Some(id) = self.try_next() {
                return id;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn try_next(&self) -> Option<i64> {
        let now = self.clock.now().max(EPOCH);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = match now.cmp(&last.0) {
            std::cmp::Ordering::Greater => 0,
            std::cmp::Ordering::Equal if last.1 < SEQUENCE_END => last.1,
            _ => return None,
        };
        *last = (now, sequence + 1);
        Some(
            ((now - EPOCH) << (NODE_BITS + SEQUENCE_BITS))
                | (self.node << SEQUENCE_BITS)
                | sequence,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn identifiers_grow_and_carry_time_and_node() {
        let clock = Clock::held(EPOCH + 5);
        let ids = Snowflakes::new(clock.clone(), 3);
        let first = ids.next().await;
        let second = ids.next().await;
        clock.advance(Duration::from_millis(1));
        let third = ids.next().await;
        assert_eq!(first, (5 << 22) | (3 << 12));
        assert_eq!(second, first + 1);
        assert_eq!(third, (6 << 22) | (3 << 12));
    }

    #[test]
    fn a_full_millisecond_and_a_clock_that_stepped_back_yield_nothing() {
        let clock = Clock::held(EPOCH + 5);
        let ids = Snowflakes::new(clock.clone(), 0);
        assert_eq!(
            (0..SEQUENCE_END + 1).filter_map(|_| ids.try_next()).count(),
            4096
        );
        let Clock::Held(now) = &clock else {
            panic!("the clock is held")
        };
        now.store(EPOCH + 4, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(ids.try_next(), None);
    }
}
