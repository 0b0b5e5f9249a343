//! Accepted sockets that wait for their turn to begin. In a reconnect storm all clients of a lost
//! node arrive at once. If all began at once, they would delay every frame of connected clients.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use gateway_core::rate::{Bucket, Micros, Rate};
use tokio::time::Instant;

use crate::{backends::quota::Quota, client_address::AddressGroup};

/// Sockets that wait in one shard, some 3 KiB of the system's memory each: more than a second of
/// the default pace. Past it, the last of the address with the most is refused with a
/// `Retry-After`.
const MAX_WAITING: usize = 4096;
/// Sockets of a shard that begin at once: about 2 ms of its time, with their tokens and channels.
const BURST: u32 = 8;
/// How often a shard checks for the next turn: the step of the timer.
const STEP: Duration = Duration::from_millis(1);

/// The sockets that wait, in turns by the address of their peers: a balancer that asks for health
/// does not wait behind a thousand phones. Every other turn goes to an address that had no socket
/// waiting before. So a client that opens one connection waits for few others, however many
/// addresses open connections without end.
pub(super) struct WaitingRoom<T> {
    waiting: HashMap<AddressGroup, VecDeque<T>>,
    /// Addresses whose first socket waits. Each address that waits is here or in `turns`, once.
    fresh: VecDeque<AddressGroup>,
    /// Addresses that had a turn and have further sockets.
    turns: VecDeque<AddressGroup>,
    /// Whether the next turn is that of a fresh address.
    prefers_fresh: bool,
    count: usize,
}

impl<T> Default for WaitingRoom<T> {
    fn default() -> Self {
        let (fresh, turns) = (VecDeque::new(), VecDeque::new());
        Self { waiting: HashMap::new(), fresh, turns, prefers_fresh: true, count: 0 }
    }
}

impl<T> WaitingRoom<T> {
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a socket. Returns the one for which there is no room any more, if any.
    pub fn push(&mut self, address: AddressGroup, socket: T) -> Option<T> {
        let queue = self.waiting.entry(address).or_default();
        if queue.is_empty() {
            self.fresh.push_back(address);
        }
        queue.push_back(socket);
        self.count += 1;
        if self.count <= MAX_WAITING {
            return None;
        }
        let longest = self.waiting.iter().max_by_key(|(_, queue)| queue.len());
        let longest = longest.map(|(address, _)| *address)?;
        let queue = self.waiting.get_mut(&longest)?;
        let refused = queue.pop_back();
        self.count -= 1;
        if queue.is_empty() {
            self.waiting.remove(&longest);
            self.fresh.retain(|turn| *turn != longest);
            self.turns.retain(|turn| *turn != longest);
        }
        refused
    }

    /// Takes the next socket: one of each address in turn.
    pub fn pop(&mut self) -> Option<T> {
        let (first, second) = match self.prefers_fresh {
            true => (&mut self.fresh, &mut self.turns),
            false => (&mut self.turns, &mut self.fresh),
        };
        let address = first.pop_front().or_else(|| second.pop_front())?;
        self.prefers_fresh = !self.prefers_fresh;
        let queue = self.waiting.get_mut(&address)?;
        let socket = queue.pop_front();
        self.count -= 1;
        if queue.is_empty() {
            self.waiting.remove(&address);
        } else {
            self.turns.push_back(address);
        }
        socket
    }
}

/// How fast sockets begin on one shard.
pub(super) struct Pace {
    /// `None` when they begin at once.
    rate: Option<Rate>,
    bucket: Bucket,
    started: Instant,
}

impl Pace {
    /// The share of one of `shards` shards in the pace of the node.
    pub fn new(of_node: Option<Quota>, shards: usize) -> Self {
        let share = |quota: Quota| {
            let of_shard = quota.count() / quota.window_s().max(1) / shards.max(1) as u32;
            Rate { burst: BURST, per_second: of_shard.max(1) }
        };
        let bucket = Bucket::default();
        Self { rate: of_node.map(share), bucket, started: Instant::now() }
    }

    /// Whether the next socket may begin now.
    pub fn take(&mut self) -> bool {
        let Some(rate) = self.rate else { return true };
        let now = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.bucket.take(rate, Micros(now))
    }

    /// Waits a step.
    pub async fn step(&self) {
        tokio::time::sleep(STEP).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_address::ClientAddress;

    fn address(last: u8) -> AddressGroup {
        ClientAddress::new([10, 0, 0, last].into()).group()
    }

    #[test]
    fn addresses_take_turns_and_leave_nothing_behind() {
        let mut room = WaitingRoom::default();
        for (last, socket) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (1, "a4"), (3, "c1")] {
            assert_eq!(room.push(address(last), socket), None);
        }
        let order: Vec<_> = std::iter::from_fn(|| room.pop()).collect();
        assert_eq!(order, ["a1", "a2", "b1", "a3", "c1", "a4"]);
        assert!(room.is_empty() && room.waiting.is_empty());
        assert!(room.fresh.is_empty() && room.turns.is_empty());
    }

    #[test]
    fn first_socket_of_an_address_waits_for_one_other() {
        let mut room = WaitingRoom::default();
        for round in 0..20 {
            for last in 1..=12 {
                room.push(address(last), (last, round));
            }
        }
        for _ in 0..30 {
            room.pop();
        }
        room.push(address(99), (99, 0));
        let next = [room.pop(), room.pop()];
        assert!(next.contains(&Some((99, 0))), "{next:?}");
    }

    #[test]
    fn full_room_refuses_the_last_of_the_longest_queue() {
        let mut room = WaitingRoom::default();
        for number in 0..MAX_WAITING {
            assert_eq!(room.push(address(1), number), None);
        }
        assert_eq!(room.push(address(2), 9_999), Some(MAX_WAITING - 1));
        assert_eq!(room.push(address(1), 10_000), Some(10_000));
        assert_eq!([room.pop(), room.pop(), room.pop()], [Some(0), Some(1), Some(9_999)]);
        assert_eq!(room.count, MAX_WAITING - 3);
    }

    #[tokio::test(start_paused = true)]
    async fn pace_is_the_share_of_a_shard() {
        let mut pace = Pace::new(Quota::new(2000, 1), 2);
        let begun =
            |pace: &mut Pace| std::iter::repeat_with(|| pace.take()).take_while(|b| *b).count();
        assert_eq!(begun(&mut pace), BURST as usize);
        tokio::time::advance(Duration::from_millis(5)).await;
        assert_eq!(begun(&mut pace), 5);
        assert!(Pace::new(None, 2).take());
    }
}
