//! Conformance of short-lived keys.

use std::{sync::Arc, time::Duration};

use gateway::{
    backends::quota::{Quota, Spent},
    backends::short_keys::ShortKeys,
};

use super::fresh;

const MINUTE: Duration = Duration::from_secs(60);

async fn take(keys: &dyn ShortKeys, key: &str) -> Option<String> {
    keys.take(key).await.expect("the keys answer")
}

pub async fn value_is_taken_once(keys: Arc<dyn ShortKeys>) {
    let key = fresh();
    assert_eq!(take(&*keys, &key).await, None, "nothing was put");
    keys.put(&key, "a value, with \"everything\" {in} it: é", MINUTE)
        .await
        .expect("the keys answer");
    assert_eq!(
        take(&*keys, &key).await.as_deref(),
        Some("a value, with \"everything\" {in} it: é")
    );
    assert_eq!(take(&*keys, &key).await, None, "it was taken");
}

pub async fn concurrent_takers_get_value_once(keys: Arc<dyn ShortKeys>) {
    let key = fresh();
    keys.put(&key, "one", MINUTE).await.expect("the keys answer");
    let asking: Vec<_> = (0..16)
        .map(|_| {
            let (keys, key) = (keys.clone(), key.clone());
            tokio::spawn(async move { take(&*keys, &key).await })
        })
        .collect();
    let mut got = 0;
    for ask in asking {
        got += usize::from(ask.await.expect("asking does not panic").is_some());
    }
    assert_eq!(got, 1);
}

pub async fn second_put_replaces_value(keys: Arc<dyn ShortKeys>) {
    let key = fresh();
    for value in ["old", "new"] {
        keys.put(&key, value, MINUTE).await.expect("the keys answer");
    }
    assert_eq!(take(&*keys, &key).await.as_deref(), Some("new"));
    assert_eq!(take(&*keys, &key).await, None, "the old one is gone as well");
}

pub async fn key_is_claimed_by_one_caller(keys: Arc<dyn ShortKeys>) {
    let key = fresh();
    let claiming: Vec<_> = (0..16)
        .map(|number: u32| {
            let (keys, key) = (keys.clone(), key.clone());
            tokio::spawn(
                async move { (number, keys.claim(&key, &number.to_string(), MINUTE).await) },
            )
        })
        .collect();
    let (mut stored, mut told) = (Vec::new(), Vec::new());
    for claim in claiming {
        let (number, held) = claim.await.expect("claiming does not panic");
        match held.expect("the keys answer") {
            None => stored.push(number.to_string()),
            Some(held) => told.push(held),
        }
    }
    assert_eq!(stored.len(), 1);
    assert!(told.iter().all(|held| *held == stored[0]), "{told:?} {stored:?}");
    let held = keys.get(&key).await.expect("the keys answer");
    assert_eq!(held.as_ref(), Some(&stored[0]), "reading does not remove");
    assert_eq!(take(&*keys, &key).await.as_ref(), Some(&stored[0]));
    assert_eq!(keys.get(&key).await.expect("the keys answer"), None);
}

pub async fn expired_key_can_be_claimed_again(keys: Arc<dyn ShortKeys>) {
    let key = fresh();
    let brief = Duration::from_millis(50);
    assert_eq!(keys.claim(&key, "first", brief).await.expect("the keys answer"), None);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(keys.get(&key).await.expect("the keys answer"), None);
    assert_eq!(keys.claim(&key, "second", MINUTE).await.expect("the keys answer"), None);
}

pub async fn value_expires(keys: Arc<dyn ShortKeys>) {
    let key = fresh();
    keys.put(&key, "brief", Duration::from_millis(50)).await.expect("the keys answer");
    // The promise is about real time: after twice the lifetime the key is gone, however slow the
    // machine is.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(take(&*keys, &key).await, None);
}

async fn spend(keys: &dyn ShortKeys, key: &str, quota: Quota) -> Spent {
    keys.spend(key, quota).await.expect("the keys answer")
}

/// A quota that does not come back while a test runs.
fn slow_quota() -> Quota {
    Quota::new(5, 3600).expect("a valid quota")
}

pub async fn quota_is_spent_by_all_together(keys: Arc<dyn ShortKeys>) {
    let key = fresh();
    let spending: Vec<_> = (0..16)
        .map(|_| {
            let (keys, key) = (keys.clone(), key.clone());
            tokio::spawn(async move { spend(&*keys, &key, slow_quota()).await })
        })
        .collect();
    let mut left = Vec::new();
    for spent in spending {
        if let Spent::Allowed { remaining, .. } = spent.await.expect("spending does not panic") {
            left.push(remaining);
        }
    }
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4]);
}

pub async fn spent_quota_says_when_to_return(keys: Arc<dyn ShortKeys>) {
    let key = fresh();
    for _ in 0..slow_quota().count() {
        spend(&*keys, &key, slow_quota()).await;
    }
    let Spent::Refused { retry_after } = spend(&*keys, &key, slow_quota()).await else {
        panic!("the quota is spent")
    };
    // A fifth of the window, less what has passed since.
    assert!((600..=720).contains(&retry_after.as_secs()), "{retry_after:?}");
    assert!(matches!(spend(&*keys, &fresh(), slow_quota()).await, Spent::Allowed { .. }));
}

pub async fn quota_comes_back(keys: Arc<dyn ShortKeys>) {
    let (key, quota) = (fresh(), Quota::new(10, 1).expect("a valid quota"));
    while matches!(spend(&*keys, &key, quota).await, Spent::Allowed { .. }) {}
    let Spent::Refused { retry_after } = spend(&*keys, &key, quota).await else { return };
    // The promise is about real time: a client that waits for `retry_after` is served.
    tokio::time::sleep(retry_after).await;
    assert!(matches!(spend(&*keys, &key, quota).await, Spent::Allowed { .. }));
}

pub async fn quotas_and_values_have_keys_of_their_own(keys: Arc<dyn ShortKeys>) {
    let key = fresh();
    keys.put(&key, "a value", MINUTE).await.expect("the keys answer");
    assert!(matches!(spend(&*keys, &key, slow_quota()).await, Spent::Allowed { .. }));
    assert_eq!(take(&*keys, &key).await.as_deref(), Some("a value"));
}

/// Calls `$run!` with the names of the promises of short-lived keys.
#[macro_export]
macro_rules! short_key_promises {
    ($run:ident) => {
        $run! {
            value_is_taken_once,
            concurrent_takers_get_value_once,
            second_put_replaces_value,
            key_is_claimed_by_one_caller,
            expired_key_can_be_claimed_again,
            value_expires,
            quota_is_spent_by_all_together,
            spent_quota_says_when_to_return,
            quota_comes_back,
            quotas_and_values_have_keys_of_their_own,
        }
    };
}
