//! A shard that serves SSE streams over real sockets. The clock is paused: it moves only while
//! every task waits for it.

mod pacing;
mod turns;

use std::{cell::RefCell, time::Duration};

use gateway_core::access::{Origin, Role};
use schemas::{
    access::{Revocation, RevocationTarget, TargetKind},
    ids::{Aggregate, LocationId, TenantId},
    record::{Actor, ViewDelta, ViewsRecord},
    view::{Delta, raw},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{LocalSet, spawn_local},
};

use super::*;
use crate::{
    context::NodeContext,
    node::shard_task,
    stream::test_backends::{
        AuditLog, EPOCH, REMOVED, STORED, test_node, test_node_audited, test_node_with,
    },
    transport::connection,
    views::{shard_set::ShardIndex, tails::TailRecord},
};

/// A running shard with one location.
struct TestShard {
    shard: Rc<RefCell<Shard>>,
    node: Arc<NodeContext>,
    inbox: mpsc::Sender<ShardMessage>,
    aggregate: Aggregate,
    started: Instant,
}

impl TestShard {
    fn start() -> Self {
        Self::start_on(test_node())
    }

    fn start_on(node: Arc<NodeContext>) -> Self {
        let (inbox, messages) = mpsc::channel(64);
        let index = ShardIndex::from_index(0);
        let polling = Arc::default();
        let context =
            ShardContext { node: node.clone(), index, shards: 1, inbox: inbox.clone(), polling };
        let shard = Rc::new(RefCell::new(Shard::new(context)));
        spawn_local(shard_task::run(shard.clone(), messages));
        let location = LocationId::new("riverside").unwrap();
        let aggregate = Aggregate::location(&TenantId::new("demo").unwrap(), &location);
        Self { shard, node, inbox, aggregate, started: Instant::now() }
    }

    /// Publishes a record that takes `channel` from version `to - 1` to `to`.
    async fn publish(&self, channel: &str, to: u64, urgent: bool) {
        let mut delta = Delta { from: to - 1, to, at: 1, ..Delta::default() };
        delta.put(format!("at-{to}"), &json!(to));
        self.publish_urgent(channel, delta, urgent).await;
    }

    async fn publish_delta(&self, channel: &str, delta: Delta) {
        self.publish_urgent(channel, delta, false).await;
    }

    async fn publish_urgent(&self, channel: &str, delta: Delta, urgent: bool) {
        let position = Position { epoch: EPOCH, version: delta.to };
        let deltas = vec![ViewDelta { view: channel.to_owned(), keep_s: None, urgent, delta }];
        self.publish_record(ViewsRecord { position, at: 1, deltas, reload: false, outcome: None })
            .await;
    }

    async fn publish_record(&self, record: ViewsRecord) {
        let position = record.position;
        let value = raw(&record).get().to_owned().into();
        let refused = self.node.metrics.intake.refused.clone();
        let record = TailRecord::new(self.aggregate.clone(), position, value, refused);
        let record = Arc::new(record);
        self.node.tails.push(&record);
        let sent = self.inbox.send(ShardMessage::Record(record)).await;
        assert!(sent.is_ok(), "the shard runs");
    }

    /// Opens a stream of `channel` for a client that holds version `since` of it.
    async fn open_stream(&self, channel: &str, since: Option<u64>) -> Stream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = Rc::new(Socket::from(listener.accept().await.unwrap().0));
        socket.writable().await;
        let claims = Claims {
            tenant: self.aggregate.tenant().clone(),
            subject: "somebody".into(),
            role: Role::Patient,
            locations: Vec::new(),
            queues: Vec::new(),
            tickets: Vec::new(),
            appointments: Vec::new(),
            doctor: None,
            expires: clock::now() + 3_600_000,
            origin: Origin::new(&self.aggregate.tenant(), "somebody", 1),
        };
        let since = since.map(|version| Position { epoch: EPOCH, version });
        let channels = vec![(Channel::parse(channel).unwrap(), since)];
        let id = self.shard.borrow_mut().add_sse(
            socket.clone(),
            Arc::new(claims),
            Opening { client: AuditedClient::default(), sealed: "seal".into() },
            channels,
        );
        spawn_local(connection::run_sse(self.shard.clone(), socket, id, None));
        Stream { lines: BufReader::new(client), started: self.started }
    }
}

struct Stream {
    lines: BufReader<TcpStream>,
    started: Instant,
}

/// A publication: (`from`, its version), and the milliseconds from the start of the shard to its
/// arrival.
type Arrival = ((Option<u64>, u64), u128);

impl Stream {
    /// The code of the next error.
    async fn error(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).await.unwrap(), 0, "the stream is open");
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let frame: Value = serde_json::from_str(data).unwrap();
            if let Some(code) = frame["error"]["code"].as_str().or(frame["code"].as_str()) {
                return code.to_owned();
            }
        }
    }

    async fn next(&mut self) -> Arrival {
        let frame = self.frame().await;
        let version = frame["offset"].as_u64().unwrap();
        ((frame["data"]["from"].as_u64(), version), self.started.elapsed().as_millis())
    }

    /// The next publication.
    async fn frame(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).await.unwrap(), 0, "the stream is open");
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let frame: Value = serde_json::from_str(data).unwrap();
            if frame["offset"].is_u64() {
                return frame; // and not a beat
            }
        }
    }
}

async fn sleep_ms(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// Revokes the tokens of the streams' subject.
fn revoke_somebody(shard: &TestShard) {
    let target = RevocationTarget { kind: TargetKind::Subject, id: "somebody".to_owned() };
    let by = Actor { subject: "boss".to_owned(), role: "admin".to_owned() };
    let revocation = Revocation { target, permission_version: None, at: 1, by };
    shard.node.revocations.add(shard.aggregate.tenant(), &revocation, 2);
}

#[tokio::test(start_paused = true)]
async fn revocation_ends_an_open_stream_within_a_second() {
    let test = async {
        let shard = TestShard::start();
        let mut stream = shard.open_stream("board:riverside", None).await;
        stream.next().await;
        revoke_somebody(&shard);
        let began = Instant::now();
        assert_eq!(stream.error().await, "token_revoked");
        assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
    };
    LocalSet::new().run_until(test).await;
}

/// A token may be revoked between its check and the arrival of its connection at the shard.
#[tokio::test(start_paused = true)]
async fn connection_that_arrives_revoked_gets_nothing() {
    let test = async {
        let shard = TestShard::start();
        revoke_somebody(&shard);
        sleep_ms(1_500).await;
        let mut stream = shard.open_stream("board:riverside", None).await;
        assert_eq!(stream.error().await, "token_revoked");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_shown_before_the_audit_is_acknowledged() {
    let test = async {
        let audit = AuditLog::with_permits(0);
        let shard = TestShard::start_on(test_node_audited(Some(STORED), audit.clone()));
        let mut stream = shard.open_stream("board:riverside", None).await;
        let early = tokio::time::timeout(Duration::from_secs(2), stream.next()).await;
        assert!(early.is_err(), "the entry is not acknowledged");
        audit.acknowledge(1);
        assert_eq!(stream.next().await.0, (None, STORED));
        // The log refuses from now on.
        audit.close();
        let mut refused = shard.open_stream("board:hillside", None).await;
        assert_eq!(refused.error().await, "try_again");
    };
    LocalSet::new().run_until(test).await;
}

/// What the log has of the audit once its notes are written: action, first and last version.
async fn audited(node: &NodeContext, log: &AuditLog) -> Vec<(String, Option<u64>, Option<u64>)> {
    node.audit.flush(Duration::from_secs(5)).await;
    let version = |position: Option<Position>| position.map(|position| position.version);
    log.entries()
        .into_iter()
        .map(|entry| (entry.action.into_owned(), version(entry.first), version(entry.last)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn close_names_the_versions_that_were_sent() {
    let test = async {
        let log = AuditLog::default();
        let shard = TestShard::start_on(test_node_audited(Some(STORED), log.clone()));
        let mut stream = shard.open_stream("board:riverside", None).await;
        stream.next().await;
        shard.publish("board:riverside", STORED + 1, false).await;
        shard.publish("board:riverside", STORED + 2, false).await;
        while stream.next().await.0.1 < STORED + 2 {}
        drop(stream);
        sleep_ms(50).await;
        let (first, last) = (Some(STORED), Some(STORED + 2));
        let expected =
            [("channel.open".to_owned(), None, None), ("channel.close".to_owned(), first, last)];
        assert_eq!(audited(&shard.node, &log).await, expected);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn close_begins_with_the_position_of_a_client_that_came_back() {
    let test = async {
        let log = AuditLog::default();
        let shard = TestShard::start_on(test_node_audited(Some(STORED), log.clone()));
        let mut other = shard.open_stream("board:riverside", None).await;
        other.next().await;
        for version in [STORED + 1, STORED + 2] {
            shard.publish("board:riverside", version, false).await;
            other.next().await;
        }
        let mut stream = shard.open_stream("board:riverside", Some(STORED + 1)).await;
        assert_eq!(stream.next().await.0, (Some(STORED + 1), STORED + 2));
        drop(stream);
        sleep_ms(50).await;
        let closed = audited(&shard.node, &log).await.pop();
        let (first, last) = (Some(STORED + 1), Some(STORED + 2));
        assert_eq!(closed, Some(("channel.close".to_owned(), first, last)));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn removed_view_is_unknown_to_its_listeners() {
    let test = async {
        let shard = TestShard::start();
        let mut stream = shard.open_stream("board:riverside", None).await;
        stream.next().await;
        let mut delta = Delta { from: STORED, to: 6, at: 1, ..Delta::default() };
        delta.drop_key("stored");
        shard.publish_delta("board:riverside", delta).await;
        assert_eq!(stream.error().await, "unknown_channel");
    };
    LocalSet::new().run_until(test).await;
}

/// The store is behind the step, so only the authority has what the record leaves out.
#[tokio::test(start_paused = true)]
async fn step_without_entries_is_loaded_from_authority() {
    let test = async {
        let shard = TestShard::start_on(test_node_with(STORED + 4));
        let board = "board:riverside";
        let mut stream = shard.open_stream(board, None).await;
        assert_eq!(stream.next().await.0.1, STORED);
        let step = Delta { from: STORED, to: STORED + 4, at: 1, ..Delta::default() };
        shard.publish_delta(board, step.without_entries()).await;
        assert_eq!(stream.next().await.0, (None, STORED + 4), "a whole state");
        shard.publish(board, STORED + 5, false).await;
        assert_eq!(stream.next().await.0, (Some(STORED + 4), STORED + 5));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn record_with_unnamed_changes_reloads_every_hot_view() {
    let test = async {
        let shard = TestShard::start();
        let mut streams = [
            shard.open_stream("board:riverside", None).await,
            shard.open_stream("settings:riverside", None).await,
        ];
        for stream in &mut streams {
            stream.next().await;
        }
        let fetches = &shard.node.metrics.view_fetches.authority;
        let before = fetches.get();
        let position = Position { epoch: EPOCH, version: STORED + 1 };
        let deltas = Vec::new();
        shard
            .publish_record(ViewsRecord { position, at: 1, deltas, reload: true, outcome: None })
            .await;
        sleep_ms(100).await;
        assert_eq!(fetches.get() - before, 2, "the store may lack the changes");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn step_is_encoded_and_its_delay_observed_once() {
    let test = async {
        let shard = TestShard::start();
        let board = "board:riverside";
        let mut streams =
            [shard.open_stream(board, None).await, shard.open_stream(board, None).await];
        for stream in &mut streams {
            stream.next().await;
        }
        let encoded =
            shard.node.metrics.frames_encoded.for_channel(&Channel::parse(board).unwrap());
        let delays = &shard.node.metrics.delivery_delay_seconds;
        let before = (encoded.get(), delays.get_sample_count());
        shard.publish(board, 6, false).await;
        for stream in &mut streams {
            // The second stream was opened one pace of the audit after the first.
            assert_eq!(stream.next().await, ((Some(5), 6), 1));
        }
        assert_eq!(encoded.get() - before.0, 1);
        assert_eq!(delays.get_sample_count() - before.1, 1);
    };
    LocalSet::new().run_until(test).await;
}

/// The database was restored: it has never heard of the versions that the clients hold.
#[tokio::test(start_paused = true)]
async fn client_ahead_of_authority_gets_snapshot_with_mark() {
    let test = async {
        let shard = TestShard::start();
        let board = "board:riverside";
        let mut streams = [
            shard.open_stream(board, Some(STORED + 1)).await,
            shard.open_stream(board, Some(STORED + 900)).await,
        ];
        for stream in &mut streams {
            let frame = stream.frame().await;
            assert_eq!((&frame["offset"], &frame["reset"]), (&json!(STORED), &json!(true)));
            assert_eq!(shard.started.elapsed().as_millis(), 3000);
        }
        assert_eq!(shard.node.metrics.positions_reset.get(), 2);
        shard.publish(board, STORED + 1, false).await;
        for stream in &mut streams {
            let frame = stream.frame().await;
            assert_eq!(frame["data"]["from"], json!(STORED), "it continues like any other");
            assert_eq!(frame["reset"], Value::Null);
        }
    };
    LocalSet::new().run_until(test).await;
}

/// The node is late, and the authority has what the client holds.
#[tokio::test(start_paused = true)]
async fn client_ahead_of_node_is_served_from_authority() {
    let test = async {
        let shard = TestShard::start_on(test_node_with(STORED + 4));
        let board = "board:riverside";
        let mut first = shard.open_stream(board, Some(STORED + 2)).await;
        assert_eq!(first.next().await, ((None, STORED + 4), 0), "the load knows its position");
        shard.publish(board, STORED + 4, false).await;
        shard.publish(board, STORED + 5, false).await;
        assert_eq!(first.next().await, ((Some(STORED + 4), STORED + 5), 0));
    };
    LocalSet::new().run_until(test).await;
}

/// The view is hot, and others listen to it, when the client with a later position arrives.
#[tokio::test(start_paused = true)]
async fn claim_moves_hot_view_forward_for_all() {
    let test = async {
        let shard = TestShard::start_on(test_node_with(STORED + 4));
        let board = "board:riverside";
        let mut first = shard.open_stream(board, None).await;
        assert_eq!(first.next().await, ((None, STORED), 0));
        let mut ahead = shard.open_stream(board, Some(STORED + 3)).await;
        for stream in [&mut first, &mut ahead] {
            // The entry of the second stream waits for the pace of the audit.
            assert_eq!(stream.next().await, ((None, STORED + 4), 1));
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn missed_record_loads_views_of_its_aggregate_again() {
    let test = async {
        let shard = TestShard::start_on(test_node_with(STORED + 4));
        let board = "board:riverside";
        let mut stream = shard.open_stream(board, None).await;
        assert_eq!(stream.next().await, ((None, STORED), 0));
        // The step of the board was in a record that never came.
        let sent = shard.inbox.send(ShardMessage::Missed(shard.aggregate.clone())).await;
        assert!(sent.is_ok(), "the shard runs");
        assert_eq!(stream.next().await, ((None, STORED + 4), 0), "from the authority");
    };
    LocalSet::new().run_until(test).await;
}

/// Nothing would tell the client otherwise: the view is gone, and no record of it comes.
#[tokio::test(start_paused = true)]
async fn live_stream_of_a_view_that_is_found_gone_ends() {
    let test = async {
        let shard = TestShard::start();
        let mut stream = shard.open_stream(REMOVED, None).await;
        assert_eq!(stream.next().await, ((None, STORED), 0));
        let aggregate = Channel::parse(REMOVED).unwrap().aggregate(&shard.aggregate.tenant());
        let sent = shard.inbox.send(ShardMessage::Missed(aggregate)).await;
        assert!(sent.is_ok(), "the shard runs");
        let told = tokio::time::timeout(Duration::from_secs(60), stream.error()).await;
        assert_eq!(told.expect("it is told at once"), "unknown_channel");
        let mut again = shard.open_stream("board:riverside", None).await;
        assert_eq!(again.next().await.0, (None, STORED), "others are served");
    };
    LocalSet::new().run_until(test).await;
}

/// While the store answers, so many records come that the tail drops some of them.
#[tokio::test(start_paused = true)]
async fn snapshot_is_not_joined_with_a_tail_that_lost_steps_meanwhile() {
    let test = async {
        let shard = TestShard::start_on(test_node_with(STORED + 2));
        let mut stream = shard.open_stream("board:riverside", None).await;
        // The fetch has begun. No other task runs until the stream is read.
        let mut large = Delta { from: STORED + 1, to: STORED + 2, at: 1, ..Delta::default() };
        large.put("large".to_owned(), &"x".repeat(200_000));
        shard.publish("board:riverside", STORED + 1, false).await;
        shard.publish_delta("queue:other", large).await;
        assert_eq!(stream.next().await.0, (None, STORED + 2), "from the authority");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn late_node_shows_nothing_older_to_client() {
    let test = async {
        let shard = TestShard::start_on(test_node_with(None));
        let mut stream = shard.open_stream("board:riverside", Some(STORED + 1)).await;
        assert_eq!(stream.error().await, "try_again");
        assert_eq!(shard.started.elapsed().as_millis(), 4000);
        assert_eq!(shard.node.metrics.positions_reset.get(), 0);
        let mut stream = shard.open_stream("board:riverside", Some(STORED + 1)).await;
        sleep_ms(3500).await;
        shard.publish("board:riverside", STORED + 1, false).await;
        shard.publish("board:riverside", STORED + 2, false).await;
        assert_eq!(stream.next().await.0, (Some(STORED + 1), STORED + 2), "it caught up");
    };
    LocalSet::new().run_until(test).await;
}
