//! Short-lived keys for tests of one node. No key is ever stored or read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{KeysUnavailable, ShortKeys};
use crate::{
    BoxFuture,
    backends::quota::{Quota, Spent},
};

/// The answer to every request of a quota.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    Allow,
    /// Other nodes have spent the whole quota.
    Refuse,
    Fail,
    /// There is never an answer.
    Hang,
}

pub struct FakeKeys {
    answers: Answers,
    asked: AtomicUsize,
}

impl FakeKeys {
    pub fn new(answers: Answers) -> Arc<Self> {
        Arc::new(Self { answers, asked: AtomicUsize::new(0) })
    }

    /// How often a quota was asked for.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ShortKeys for FakeKeys {
    fn put<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Duration,
    ) -> BoxFuture<'a, Result<(), KeysUnavailable>> {
        unreachable!("no ticket is issued")
    }

    fn claim<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        unreachable!("no key is claimed")
    }

    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        unreachable!("no key is read")
    }

    fn take<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        unreachable!("no ticket is spent")
    }

    fn spend<'a>(
        &'a self,
        _: &'a str,
        quota: Quota,
    ) -> BoxFuture<'a, Result<Spent, KeysUnavailable>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            match self.answers {
                Answers::Allow => Ok(quota.allowed(0)),
                Answers::Refuse => Ok(Spent::Refused { retry_after: Duration::from_secs(9) }),
                Answers::Fail => Err(KeysUnavailable("connection refused".into())),
                Answers::Hang => std::future::pending().await,
            }
        })
    }
}
