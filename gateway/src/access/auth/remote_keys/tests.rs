use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const KEYS: &str = include_str!("../known/keys.json");
const POLICY: RefreshPolicy = RefreshPolicy {
    refresh: Duration::from_secs(300),
    cooldown: Duration::from_secs(30),
    stale: Duration::from_secs(3600),
};

/// An issuer that publishes what the test tells it to.
struct FakeIssuer {
    document: Mutex<Option<String>>,
    fetches: AtomicUsize,
}

/// Keys of a fake issuer, kept fresh by a task.
fn started(document: Option<&str>) -> (Arc<FakeIssuer>, Arc<RemoteKeys>) {
    let issuer = FakeIssuer {
        document: Mutex::new(document.map(str::to_owned)),
        fetches: AtomicUsize::new(0),
    };
    let issuer = Arc::new(issuer);
    let fetch: FetchDocument = {
        let issuer = issuer.clone();
        Arc::new(move |_| {
            issuer.fetches.fetch_add(1, Ordering::Relaxed);
            let document = issuer.document.lock().unwrap().clone();
            Box::pin(async move { document.map(Bytes::from).ok_or(FetchError::Status(503)) })
        })
    };
    let algorithms = vec![KeyAlgorithm::Rs256];
    let keys = Arc::new(RemoteKeys::new("https://i/keys".to_owned(), algorithms, POLICY, fetch));
    let task = keys.clone();
    tokio::spawn(async move { task.keep_fresh().await });
    (issuer, keys)
}

impl FakeIssuer {
    fn publish(&self, document: Option<String>) {
        *self.document.lock().unwrap() = document;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }
}

/// The keys of `KEYS` under other ids.
fn renamed(kid: &str) -> String {
    KEYS.replace("\"rs256\"", &format!("\"{kid}\""))
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

fn find(keys: &RemoteKeys, kid: &str) -> Result<(), Code> {
    keys.find(Some(kid)).map(drop)
}

#[tokio::test(start_paused = true)]
async fn rotated_key_is_fetched_when_named() {
    let (issuer, keys) = started(Some(KEYS));
    seconds(40).await;
    assert_eq!(find(&keys, "rs256"), Ok(()));
    issuer.publish(Some(renamed("new")));
    assert_eq!(find(&keys, "new"), Err(Code::TryAgain));
    seconds(1).await;
    assert_eq!(find(&keys, "new"), Ok(()));
    assert_eq!(find(&keys, "rs256"), Err(Code::TryAgain), "an old key counts no more");
}

#[tokio::test(start_paused = true)]
async fn unknown_ids_cause_one_fetch_per_cooldown() {
    let (issuer, keys) = started(Some(KEYS));
    seconds(1).await;
    for second in 0..120 {
        for number in 0..100 {
            let found = find(&keys, &format!("k-{second}-{number}"));
            assert_eq!(found, Err(Code::TryAgain));
        }
        seconds(1).await;
    }
    assert!(issuer.fetches() <= 1 + 4, "{}", issuer.fetches());
    assert!(keys.lock_unknown().waiting.len() <= MAX_UNKNOWN);
    assert_eq!(find(&keys, "rs256"), Ok(()), "the flood hides no key");
}

#[tokio::test(start_paused = true)]
async fn unknown_id_is_refused_after_a_fetch() {
    let (_, keys) = started(Some(KEYS));
    seconds(1).await;
    assert_eq!(find(&keys, "never"), Err(Code::TryAgain));
    seconds(31).await;
    assert_eq!(find(&keys, "never"), Err(Code::TokenInvalid));
}

#[tokio::test(start_paused = true)]
async fn failing_issuer_keeps_its_keys_until_stale() {
    let (issuer, keys) = started(Some(KEYS));
    seconds(1).await;
    for failure in [None, Some("{\"keys\":[]}".to_owned()), Some("<html>".to_owned())] {
        issuer.publish(failure);
        seconds(700).await;
        assert_eq!(find(&keys, "rs256"), Ok(()));
        assert!(keys.is_late());
    }
    seconds(2_400).await;
    assert_eq!(find(&keys, "rs256"), Err(Code::TryAgain), "keys count for a stated time");
    assert!(!keys.has_keys());
    issuer.publish(Some(KEYS.to_owned()));
    seconds(31).await;
    assert_eq!(find(&keys, "rs256"), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn keys_are_refreshed_in_the_background() {
    let (issuer, keys) = started(Some(KEYS));
    seconds(3_000).await;
    assert!((9..=12).contains(&issuer.fetches()), "{}", issuer.fetches());
    assert!(!keys.is_late());
}

#[tokio::test(start_paused = true)]
async fn without_keys_tokens_are_to_be_tried_again() {
    let (issuer, keys) = started(None);
    assert_eq!(find(&keys, "rs256"), Err(Code::TryAgain));
    seconds(600).await;
    assert_eq!(find(&keys, "rs256"), Err(Code::TryAgain));
    assert!(issuer.fetches() <= 21, "a failing issuer is asked once a cooldown");
}
