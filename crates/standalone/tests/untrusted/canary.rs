//! A tenant whose every text holds a canary, and strangers who know all its ids: people of another
//! tenant, of another location, and another patient. They walk every route and every kind of
//! channel on every transport. No answer, frame or log line may hold a byte of the canary.

mod channels;
mod logs;
mod planted;
mod routes;

use planted::Planted;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_tenant_reaches_a_stranger() {
    let logs = logs::capture();
    let planted = Planted::start().await;
    let before = planted.everything().await;
    assert!(before.contains(planted::CANARY), "its own people see the canary");
    channels::walk(&planted).await;
    routes::walk(&planted).await;
    assert_eq!(planted.everything().await, before, "a stranger changed something");
    planted.stop().await;
    let logged = logs.text();
    assert!(logged.contains("log lines are captured"));
    for secret in [planted::CANARY, planted::PATIENT] {
        let line = logged.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a log line holds a planted text");
    }
}
