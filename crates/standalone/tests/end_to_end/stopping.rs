//! A stopping gateway, as its balancer and its clients see it.

use std::time::{Duration, Instant};

use testing::{follower::ChannelFollower, http::ApiRequest, patience::eventually};

use crate::{installation::Installation, real_servers::TURN};

/// The answer of `/health/ready` while a node stops.
const STOPPING: &str = "not ready\nthe node is stopping\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_gateway_serves_until_its_delay_is_over() {
    let _turn = TURN.lock().await;
    let installation = Installation::start().await;
    let world = &installation.world;
    let site = world.site().await;
    let (node, gateway) = installation.start_gateway(&["--drain-delay", "5", "--drain", "1"]).await;
    let get = async |path: &str| {
        world.api.try_call(&node, ApiRequest::get(path).token(&site.reception)).await
    };
    let queue = format!("queue:{}", site.general);
    let mut before = ChannelFollower::start(&node, &site.reception, &queue).await;

    let stopped = Instant::now();
    gateway.signal("-TERM");
    eventually("readiness turns false for the balancer", async || {
        let answer = get("/health/ready").await.expect("the listener is open");
        (answer.status == 503 && answer.text == STOPPING).then_some(())
    })
    .await;
    // New connections are served as before.
    let snapshot = get(&format!("/v1/queues/{}", site.general)).await.expect("it is served");
    assert_eq!(snapshot.status, 200);
    let mut during = ChannelFollower::start(&node, &site.reception, &queue).await;
    world.issue(&site, &site.general).await;
    for follower in [&mut before, &mut during] {
        follower.until("the new ticket", |follower| follower.view.entries.len() == 2).await;
    }
    assert!(stopped.elapsed() < Duration::from_secs(5), "this machine is too slow for the test");

    for follower in [&mut before, &mut during] {
        let code = async {
            loop {
                if let Err(code) = follower.next().await {
                    return code;
                }
            }
        };
        assert_eq!(testing::patience::patiently("the farewell", code).await, 3001);
    }
    assert!(stopped.elapsed() >= Duration::from_secs(5));
    eventually("the listener is closed", async || {
        get("/health/live").await.is_none().then_some(())
    })
    .await;
    assert!(gateway.wait().await.success());

    let (node, gateway) = installation.start_gateway(&["--drain-delay", "600"]).await;
    gateway.signal("-TERM");
    eventually("it is stopping", async || {
        let answer = world.api.try_call(&node, ApiRequest::get("/health/ready")).await;
        answer.filter(|answer| answer.status == 503).map(drop)
    })
    .await;
    gateway.terminate().await; // the second signal ends it at once
    installation.stop().await;
}
