//! How often a view is sent, and together with which other steps.

use super::*;

const DASHBOARD: &str = "load:riverside";

#[tokio::test(start_paused = true)]
async fn dashboard_is_paced_and_its_last_change_arrives() {
    let test = async {
        let shard = TestShard::start();
        let mut stream = shard.open_stream(DASHBOARD, None).await;
        assert_eq!(stream.next().await, ((None, STORED), 0));
        shard.publish(DASHBOARD, 6, false).await;
        assert_eq!(stream.next().await, ((Some(5), 6), 0));
        for version in 7..=16 {
            shard.publish(DASHBOARD, version, false).await;
            sleep_ms(50).await;
        }
        assert_eq!(stream.next().await, ((Some(6), 16), 1000));
        sleep_ms(3000).await;
        shard.publish(DASHBOARD, 17, false).await;
        assert_eq!(
            stream.next().await,
            ((Some(16), 17), 4000),
            "a step after a quiet second does not wait"
        );
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn urgent_step_takes_waiting_steps_along() {
    let test = async {
        let shard = TestShard::start();
        let mut stream = shard.open_stream(DASHBOARD, None).await;
        stream.next().await;
        shard.publish(DASHBOARD, 6, false).await;
        assert_eq!(stream.next().await, ((Some(5), 6), 0));
        shard.publish(DASHBOARD, 7, false).await;
        sleep_ms(100).await;
        shard.publish(DASHBOARD, 8, true).await;
        assert_eq!(stream.next().await, ((Some(6), 8), 100));
        shard.publish(DASHBOARD, 9, false).await;
        assert_eq!(stream.next().await, ((Some(8), 9), 1100), "a second after the urgent step");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn subscribe_during_waiting_step_gets_everything() {
    let test = async {
        let shard = TestShard::start();
        let mut stream = shard.open_stream(DASHBOARD, None).await;
        stream.next().await;
        shard.publish(DASHBOARD, 6, false).await;
        stream.next().await;
        shard.publish(DASHBOARD, 7, false).await;
        sleep_ms(100).await;
        let mut new = shard.open_stream(DASHBOARD, None).await;
        assert_eq!(new.next().await, ((None, 7), 100));
        // Each further entry of the audit waits for its pace of a millisecond.
        let mut back = shard.open_stream(DASHBOARD, Some(STORED)).await;
        assert_eq!(back.next().await, ((Some(STORED), 7), 101));
        // The client comes from a node that was ahead. Its floor is reached while the others wait.
        let mut ahead = shard.open_stream(DASHBOARD, Some(8)).await;
        shard.publish(DASHBOARD, 8, false).await;
        shard.publish(DASHBOARD, 9, false).await;
        assert_eq!(ahead.next().await, ((Some(8), 9), 102));
        for stream in [&mut stream, &mut new, &mut back] {
            assert_eq!(
                stream.next().await,
                ((Some(6), 9), 1000),
                "one step serves all, whichever version each holds"
            );
        }
        shard.publish(DASHBOARD, 10, true).await;
        for stream in [&mut stream, &mut new, &mut back, &mut ahead] {
            assert_eq!(stream.next().await, ((Some(9), 10), 1000), "nobody gets a step twice");
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn board_is_not_paced() {
    let test = async {
        let shard = TestShard::start();
        let mut stream = shard.open_stream("board:riverside", None).await;
        stream.next().await;
        for version in 6..=9 {
            shard.publish("board:riverside", version, false).await;
            assert_eq!(stream.next().await, ((Some(version - 1), version), 0));
        }
    };
    LocalSet::new().run_until(test).await;
}
