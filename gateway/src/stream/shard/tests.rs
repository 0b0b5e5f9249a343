//! A shard that serves streams over real sockets, while time stands still unless everybody waits for it.

use gateway_core::access::Role;
use schemas::{
    command::CommandOutcome,
    ids::{CommandId, LocationId, TenantId},
    record::{ViewDelta, ViewsRecord, WireRecord},
    view::{Delta, View, raw},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    task::{LocalSet, spawn_local},
};

use super::*;
use crate::{
    BoxFuture,
    access::auth::DevelopmentKey,
    backends::log::{Fed, Log, NotAppended},
    backends::queries::{FindingsAsked, FindingsPage, ListedRun, Queries, RunsAsked},
    backends::snapshots::{NotRead, Snapshot, Snapshots},
    transport::connection,
};

/// Epoch of everything here.
const EPOCH: u64 = 7;
/// The version that the store holds of every view.
const STORED: u64 = 5;

/// The backends of a shard: every view exists, and nothing else does.
struct World;

impl Snapshots for World {
    fn load<'a>(
        &'a self,
        _: &'a Aggregate,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Snapshot, NotRead>> {
        let position = Position { epoch: EPOCH, version: STORED };
        Box::pin(async move { Ok(Snapshot::Held(View { position, ..View::empty(EPOCH) })) })
    }
}

impl Queries for World {
    fn view<'a>(
        &'a self,
        _: &'a Aggregate,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>> {
        unreachable!("the store has it")
    }

    fn outcome<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a CommandId,
    ) -> BoxFuture<'a, Result<Option<CommandOutcome>, NotRead>> {
        unreachable!("no command is given")
    }

    fn runs<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a RunsAsked,
    ) -> BoxFuture<'a, Result<Vec<ListedRun>, NotRead>> {
        unreachable!("nothing is listed")
    }

    fn findings<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a RunId,
        _: &'a FindingsAsked,
    ) -> BoxFuture<'a, Result<Option<FindingsPage>, NotRead>> {
        unreachable!("nothing is listed")
    }
}

impl Log for World {
    fn append(&self, _: &'static str, _: WireRecord) -> BoxFuture<'_, Result<(), NotAppended>> {
        unreachable!("nothing is written")
    }

    fn follow(&self) -> mpsc::Receiver<Fed> {
        unreachable!("the test feeds the shard itself")
    }
}

/// A running shard of one location's gateway.
struct Node {
    shard: Rc<RefCell<Shard>>,
    tails: Arc<Tails>,
    inbox: mpsc::Sender<ToShard>,
    aggregate: Aggregate,
    began: Instant,
}

impl Node {
    fn start() -> Self {
        let (inbox, messages) = mpsc::channel(64);
        let tails = Arc::new(Tails::default());
        let links = Links {
            index: 0,
            tails: tails.clone(),
            reader: Arc::new(Reader::new(Arc::new(World), Arc::new(World))),
            verifier: Arc::new(Verifier::new(DevelopmentKey::from_words("a test").keys()).unwrap()),
            metrics: Arc::new(Metrics::new()),
            audit: Audit::new(Arc::new(World)),
            node: tokio::runtime::Handle::current(),
            inbox: inbox.clone(),
        };
        let shard = Rc::new(RefCell::new(Shard::new(links)));
        spawn_local(run(shard.clone(), messages));
        let location = LocationId::new("riverside").unwrap();
        let aggregate = Aggregate::location(&TenantId::new("demo").unwrap(), &location);
        Self { shard, tails, inbox, aggregate, began: Instant::now() }
    }

    /// A record that takes `channel` from version `to - 1` to `to`.
    async fn moves(&self, channel: &str, to: u64, urgent: bool) {
        let position = Position { epoch: EPOCH, version: to };
        let mut delta = Delta { from: to - 1, to, at: 1, ..Delta::default() };
        delta.put(format!("at-{to}"), &json!(to));
        let deltas = vec![ViewDelta { view: channel.to_owned(), keep_s: None, urgent, delta }];
        let record = ViewsRecord { position, at: 1, deltas, outcome: None };
        let step = Arc::new(Step::new(
            self.aggregate.clone(),
            position,
            raw(&record).get().to_owned().into(),
        ));
        self.tails.push(&step);
        assert!(self.inbox.send(ToShard::Step(step)).await.is_ok(), "the shard runs");
    }

    /// A client that opens a stream of `channel`, and holds version `since` of it.
    async fn stream(&self, channel: &str, since: Option<u64>) -> Stream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = Rc::new(listener.accept().await.unwrap().0);
        socket.writable().await.unwrap();
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
        };
        let since = since.map(|version| Position { epoch: EPOCH, version });
        let channels = vec![(Channel::parse(channel).unwrap(), since)];
        let id = self.shard.borrow_mut().add_sse(
            socket.clone(),
            Arc::new(claims),
            "seal".into(),
            channels,
        );
        spawn_local(connection::run_sse(self.shard.clone(), socket, id));
        Stream { lines: BufReader::new(client), began: self.began }
    }
}

struct Stream {
    lines: BufReader<TcpStream>,
    began: Instant,
}

/// What a client was sent: (`from`, its version), and the milliseconds since the node began.
type Heard = ((Option<u64>, u64), u128);

impl Stream {
    async fn hears(&mut self) -> Heard {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).await.unwrap(), 0, "the stream goes on");
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let frame: Value = serde_json::from_str(data).unwrap();
            let Some(version) = frame["offset"].as_u64() else { continue }; // a beat
            return ((frame["data"]["from"].as_u64(), version), self.began.elapsed().as_millis());
        }
    }
}

async fn later(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

const LOAD: &str = "load:riverside";

#[tokio::test(start_paused = true)]
async fn a_load_is_shown_once_a_second_and_its_last_change_always_arrives() {
    let test = async {
        let node = Node::start();
        let mut stream = node.stream(LOAD, None).await;
        assert_eq!(stream.hears().await, ((None, STORED), 0));
        node.moves(LOAD, 6, false).await;
        assert_eq!(stream.hears().await, ((Some(5), 6), 0));
        for version in 7..=16 {
            node.moves(LOAD, version, false).await;
            later(50).await;
        }
        assert_eq!(stream.hears().await, ((Some(6), 16), 1000));
        later(3000).await;
        node.moves(LOAD, 17, false).await;
        assert_eq!(
            stream.hears().await,
            ((Some(16), 17), 4000),
            "after a quiet time nothing waits"
        );
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn an_urgent_change_goes_out_at_once_and_takes_along_what_waited() {
    let test = async {
        let node = Node::start();
        let mut stream = node.stream(LOAD, None).await;
        stream.hears().await;
        node.moves(LOAD, 6, false).await;
        assert_eq!(stream.hears().await, ((Some(5), 6), 0));
        node.moves(LOAD, 7, false).await;
        later(100).await;
        node.moves(LOAD, 8, true).await;
        assert_eq!(stream.hears().await, ((Some(6), 8), 100));
        node.moves(LOAD, 9, false).await;
        assert_eq!(
            stream.hears().await,
            ((Some(8), 9), 1100),
            "a second after the urgent one, not before"
        );
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_a_change_waits_is_answered_at_once_and_with_all_of_it() {
    let test = async {
        let node = Node::start();
        let mut stream = node.stream(LOAD, None).await;
        stream.hears().await;
        node.moves(LOAD, 6, false).await;
        stream.hears().await;
        node.moves(LOAD, 7, false).await;
        later(100).await;
        let mut new = node.stream(LOAD, None).await;
        assert_eq!(new.hears().await, ((None, 7), 100));
        let mut back = node.stream(LOAD, Some(STORED)).await;
        assert_eq!(back.hears().await, ((Some(STORED), 7), 100));
        // Another node was ahead of this one: the floor is reached while the others wait.
        let mut ahead = node.stream(LOAD, Some(8)).await;
        node.moves(LOAD, 8, false).await;
        node.moves(LOAD, 9, false).await;
        assert_eq!(ahead.hears().await, ((Some(8), 9), 100));
        for stream in [&mut stream, &mut new, &mut back] {
            assert_eq!(
                stream.hears().await,
                ((Some(6), 9), 1000),
                "one step that fits whatever each holds"
            );
        }
        node.moves(LOAD, 10, true).await;
        for stream in [&mut stream, &mut new, &mut back, &mut ahead] {
            assert_eq!(stream.hears().await, ((Some(9), 10), 1000), "nobody hears anything twice");
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_board_is_not_paced() {
    let test = async {
        let node = Node::start();
        let mut stream = node.stream("board:riverside", None).await;
        stream.hears().await;
        for version in 6..=9 {
            node.moves("board:riverside", version, false).await;
            assert_eq!(stream.hears().await, ((Some(version - 1), version), 0));
        }
    };
    LocalSet::new().run_until(test).await;
}
