//! Short-lived keys in memory.

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use gateway::{
    BoxFuture,
    backends::quota::{Bucket, Moment, Quota, Spent},
    backends::short_keys::{KeysUnavailable, ShortKeys},
};
use tokio::time::Instant;

use super::lock;

/// Number of keys before expired ones are removed: what a few thousand clients open within half a
/// minute.
const SWEEP_AT: usize = 10_000;

#[derive(Default)]
pub struct MemoryKeys {
    held: Mutex<KeyTable>,
    quotas: Mutex<QuotaTable>,
    /// The start of the clock of quotas.
    started: OnceLock<Instant>,
}

#[derive(Default)]
struct KeyTable {
    values: HashMap<String, (String, Instant)>,
    /// Size at which the next sweep is due: twice what the last one left, so that sweeps stay
    /// cheap.
    sweep_at: usize,
}

impl KeyTable {
    fn insert(&mut self, key: &str, value: &str, ttl: Duration) {
        let now = Instant::now();
        if self.values.len() >= self.sweep_at.max(SWEEP_AT) {
            self.values.retain(|_, (_, until)| *until > now);
            self.sweep_at = self.values.len() * 2;
        }
        self.values.insert(key.to_owned(), (value.to_owned(), now + ttl));
    }

    fn get(&self, key: &str) -> Option<String> {
        let (value, until) = self.values.get(key)?;
        (*until > Instant::now()).then(|| value.clone())
    }
}

/// The spent quotas of all clients.
#[derive(Default)]
struct QuotaTable {
    buckets: HashMap<String, Bucket>,
    sweep_at: usize,
}

impl ShortKeys for MemoryKeys {
    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), KeysUnavailable>> {
        Box::pin(async move {
            lock(&self.held).insert(key, value, ttl);
            Ok(())
        })
    }

    fn claim<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        Box::pin(async move {
            let mut table = lock(&self.held);
            let held = table.get(key);
            if held.is_none() {
                table.insert(key, value, ttl);
            }
            Ok(held)
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        Box::pin(async move { Ok(lock(&self.held).get(key)) })
    }

    fn take<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        Box::pin(async move {
            let taken = lock(&self.held).values.remove(key);
            Ok(taken.filter(|(_, until)| *until > Instant::now()).map(|(value, _)| value))
        })
    }

    fn spend<'a>(
        &'a self,
        key: &'a str,
        quota: Quota,
    ) -> BoxFuture<'a, Result<Spent, KeysUnavailable>> {
        let elapsed = self.started.get_or_init(Instant::now).elapsed();
        let now = Moment::from_duration(elapsed);
        let mut quotas = lock(&self.quotas);
        if quotas.buckets.len() >= quotas.sweep_at.max(SWEEP_AT) {
            quotas.buckets.retain(|_, bucket| !bucket.is_full(now));
            quotas.sweep_at = quotas.buckets.len() * 2;
        }
        let spent = quotas.buckets.entry(key.to_owned()).or_default().spend(quota, now);
        Box::pin(async move { Ok(spent) })
    }
}
