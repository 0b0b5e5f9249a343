//! A sweep over more listeners than one turn serves.

use super::*;

/// Two turns and a half.
const CROWD: usize = 20;

/// Opens streams of the board, each of which has got its snapshot.
async fn crowd(shard: &TestShard) -> Vec<Stream> {
    let mut streams = Vec::new();
    for _ in 0..CROWD {
        streams.push(shard.open_stream("board:riverside", None).await);
    }
    for stream in &mut streams {
        assert_eq!(stream.next().await.0, (None, STORED));
    }
    streams
}

/// A record that takes the board to version `to`, as the inbox brings it.
fn step(shard: &TestShard, to: u64) -> ShardMessage {
    step_of(shard, &["board:riverside"], to)
}

fn step_of(shard: &TestShard, channels: &[&str], to: u64) -> ShardMessage {
    let mut delta = Delta { from: to - 1, to, at: 1, ..Delta::default() };
    delta.put(format!("at-{to}"), &json!(to));
    let delta = |channel: &&str| {
        let view = (*channel).to_owned();
        ViewDelta { view, keep_s: None, urgent: true, delta: delta.clone() }
    };
    let deltas = channels.iter().map(delta).collect();
    let position = Position { epoch: EPOCH, version: to };
    let record = ViewsRecord { position, at: 1, deltas, reload: false, outcome: None };
    let value = raw(&record).get().to_owned().into();
    let refused = shard.node.metrics.intake.refused.clone();
    let record = Arc::new(TailRecord::new(shard.aggregate.clone(), position, value, refused));
    shard.node.tails.push(&record);
    ShardMessage::Record(record)
}

#[tokio::test(start_paused = true)]
async fn turn_serves_a_part_of_a_crowd() {
    let test = async {
        let shard = TestShard::start();
        let _streams = crowd(&shard).await;
        let message = step(&shard, STORED + 1);
        // No await from here on, so no other task takes a turn.
        let mut shard = shard.shard.borrow_mut();
        let before = shard.connections.frames_sent();
        shard.handle(message);
        let sent_after_turns: Vec<_> = (0..3)
            .map(|_| {
                assert!(shard.has_unserved());
                shard.serve_changes();
                shard.connections.frames_sent() - before
            })
            .collect();
        assert_eq!(sent_after_turns, [8, 16, 20]);
        assert!(!shard.has_unserved());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn crowd_delays_no_other_view() {
    let test = async {
        let shard = TestShard::start();
        let mut streams = crowd(&shard).await;
        let (board, settings) = ("board:riverside", "settings:riverside");
        let mut other = shard.open_stream(settings, None).await;
        other.next().await;
        let first = step_of(&shard, &[board, settings], STORED + 1);
        let second = step_of(&shard, &[settings], STORED + 2);
        {
            let mut shard = shard.shard.borrow_mut();
            let delays = shard.context.node.metrics.delivery_delay_seconds.clone();
            let before = delays.get_sample_count();
            shard.handle(first);
            shard.serve_changes();
            assert_eq!(delays.get_sample_count() - before, 0, "the first slice of the board");
            shard.serve_changes();
            assert_eq!(delays.get_sample_count() - before, 1, "all of the settings");
            shard.handle(second);
            shard.serve_changes();
            assert_eq!(delays.get_sample_count() - before, 3, "the settings again, and the board");
            assert!(!shard.has_unserved());
        }
        let both = [(Some(STORED), STORED + 1), (Some(STORED + 1), STORED + 2)];
        assert_eq!([other.next().await.0, other.next().await.0], both);
        for stream in &mut streams {
            assert_eq!(stream.next().await.0, both[0]);
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn step_between_turns_reaches_everybody_in_order() {
    let test = async {
        let shard = TestShard::start();
        let mut streams = crowd(&shard).await;
        let (first, second) = (step(&shard, STORED + 1), step(&shard, STORED + 2));
        {
            let mut shard = shard.shard.borrow_mut();
            shard.handle(first);
            shard.serve_changes();
            shard.handle(second);
        }
        // One listener that was served leaves before the next turn, and one that was not.
        drop((streams.remove(0), streams.pop()));
        for stream in &mut streams {
            let mut held = STORED;
            while held < STORED + 2 {
                let ((from, to), _) = stream.next().await;
                assert_eq!(from, Some(held));
                held = to;
            }
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn view_that_is_fetched_again_ends_its_step() {
    let test = async {
        let shard = TestShard::start();
        let _streams = crowd(&shard).await;
        let message = step(&shard, STORED + 1);
        let mut shard = shard.shard.borrow_mut();
        shard.handle(message);
        shard.serve_changes();
        let sent = shard.connections.frames_sent();
        shard.handle(ShardMessage::Refetch);
        while shard.has_unserved() {
            shard.serve_changes();
        }
        assert_eq!(shard.connections.frames_sent(), sent, "nothing of the old content is sent");
    };
    LocalSet::new().run_until(test).await;
}
