//! The spent quotas of all clients of a node, in bounded memory.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{Limit, LimitKey};
use crate::backends::quota::{Bucket, Moment, Quota, Spent};

/// Most clients whose spent quota one limit remembers: 1 MiB of memory for each limit, and more
/// clients than a node serves in a window. Past it, an eighth of them is forgotten and starts with
/// a whole quota: a flood of addresses then gains requests for itself, but costs other clients
/// none.
pub(super) const MAX_CLIENTS: usize = 65_536;

/// Clients of a limit before full buckets are removed for the first time.
const SWEEP_AT: usize = 1024;

pub(super) struct Buckets([Mutex<Clients>; Limit::ALL.len()]);

impl Default for Buckets {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

#[derive(Default)]
struct Clients {
    buckets: HashMap<LimitKey, Bucket>,
    /// Size at which the next sweep is due: twice the number that the last sweep left, so that a
    /// sweep costs a constant for each new client.
    sweep_at: usize,
}

impl Buckets {
    pub fn spend(&self, limit: Limit, key: LimitKey, quota: Quota, now: Moment) -> Spent {
        self.with(limit, |clients| {
            if let Some(bucket) = clients.buckets.get_mut(&key) {
                return bucket.spend(quota, now);
            }
            clients.make_room(now);
            clients.buckets.entry(key).or_default().spend(quota, now)
        })
    }

    pub fn peek(&self, limit: Limit, key: LimitKey, quota: Quota, now: Moment) -> Spent {
        self.with(limit, |clients| {
            clients.buckets.get(&key).copied().unwrap_or_default().peek(quota, now)
        })
    }

    fn with<T>(&self, limit: Limit, act: impl FnOnce(&mut Clients) -> T) -> T {
        act(&mut self.0[limit as usize].lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[cfg(test)]
    pub fn client_count(&self, limit: Limit) -> usize {
        self.with(limit, |clients| clients.buckets.len())
    }
}

impl Clients {
    /// Removes full buckets when a sweep is due, and some others when there are too many.
    fn make_room(&mut self, now: Moment) {
        if self.buckets.len() < self.sweep_at.max(SWEEP_AT) {
            return;
        }
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
        if self.buckets.len() > MAX_CLIENTS - MAX_CLIENTS / 8 {
            // The order of the map is random, so a client cannot choose which others it evicts.
            let mut index = 0;
            self.buckets.retain(|_, _| {
                index += 1;
                index % 8 != 0
            });
        }
        self.sweep_at = (self.buckets.len() * 2).min(MAX_CLIENTS);
    }
}
