//! Conformance of short-lived keys.

use std::{sync::Arc, time::Duration};

use gateway::backends::short_keys::ShortKeys;

use super::fresh;

const MINUTE: Duration = Duration::from_secs(60);

/// # Panics
/// When the backend does not conform.
pub async fn suite(keys: Arc<dyn ShortKeys>) {
    a_value_is_taken_once(&*keys).await;
    of_many_who_ask_at_once_one_gets_it(keys.clone()).await;
    putting_again_replaces(&*keys).await;
    a_value_does_not_outlive_its_time(&*keys).await;
}

async fn take(keys: &dyn ShortKeys, key: &str) -> Option<String> {
    keys.take(key).await.expect("the keys answer")
}

async fn a_value_is_taken_once(keys: &dyn ShortKeys) {
    let key = fresh();
    assert_eq!(take(keys, &key).await, None, "nothing was put");
    keys.put(&key, "a value, with \"everything\" {in} it: é", MINUTE)
        .await
        .expect("the keys answer");
    assert_eq!(take(keys, &key).await.as_deref(), Some("a value, with \"everything\" {in} it: é"));
    assert_eq!(take(keys, &key).await, None, "it was taken");
}

async fn of_many_who_ask_at_once_one_gets_it(keys: Arc<dyn ShortKeys>) {
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

async fn putting_again_replaces(keys: &dyn ShortKeys) {
    let key = fresh();
    for value in ["old", "new"] {
        keys.put(&key, value, MINUTE).await.expect("the keys answer");
    }
    assert_eq!(take(keys, &key).await.as_deref(), Some("new"));
    assert_eq!(take(keys, &key).await, None, "the old one is gone as well");
}

async fn a_value_does_not_outlive_its_time(keys: &dyn ShortKeys) {
    let key = fresh();
    keys.put(&key, "brief", Duration::from_millis(50)).await.expect("the keys answer");
    // The promise is about real time: after twice the lifetime the key is gone, however slow the
    // machine is.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(take(keys, &key).await, None);
}
