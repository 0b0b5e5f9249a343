//! Conformance of short-lived keys.

use std::{sync::Arc, time::Duration};

use gateway::backends::short_keys::ShortKeys;

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

pub async fn value_expires(keys: Arc<dyn ShortKeys>) {
    let key = fresh();
    keys.put(&key, "brief", Duration::from_millis(50)).await.expect("the keys answer");
    // The promise is about real time: after twice the lifetime the key is gone, however slow the
    // machine is.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(take(&*keys, &key).await, None);
}

/// Calls `$run!` with the names of the promises of short-lived keys.
#[macro_export]
macro_rules! short_key_promises {
    ($run:ident) => {
        $run! {
            value_is_taken_once,
            concurrent_takers_get_value_once,
            second_put_replaces_value,
            value_expires,
        }
    };
}
