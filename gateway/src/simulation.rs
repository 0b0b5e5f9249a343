//! A node on the runtime of its caller, without threads and without sockets of the system. The
//! simulation of the whole runs several such nodes on one paused clock, so that one seed is one
//! run. Intake, tails, hot views, fetching, sessions and the audit are those of a serving node.

mod duplex;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use schemas::{codes::Code, command::CommandOutcome, record::CommandRecord};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, spawn_local},
};

pub use self::duplex::ClientEnd;
use crate::{
    backends::Backends,
    client_address::{ClientAddress, audited_client::AuditedClient},
    commands::Submission,
    context::NodeContext,
    limits::admission::{self, Admission},
    node::{StartError, shard_task},
    readiness::Condition,
    settings::Settings,
    stream::{
        access_intake,
        intake::{Intake, SHARD_INBOX},
        shard::{Shard, context::ShardContext},
    },
    transport::connection,
    views::shard_set::ShardIndex,
    wire::frames::Form,
};

/// A node without threads.
pub struct LocalNode {
    context: Arc<NodeContext>,
    shards: Vec<Rc<RefCell<Shard>>>,
    /// The shard of the next client.
    next: Cell<usize>,
    tasks: RefCell<Vec<AbortHandle>>,
}

impl LocalNode {
    /// Starts a node with the shards of the settings. It listens nowhere.
    ///
    /// # Errors
    /// [`StartError::Context`] when the keys cannot be used.
    ///
    /// # Panics
    /// Outside a `LocalSet`.
    pub fn start(settings: &Settings, backends: Backends) -> Result<Self, StartError> {
        let feed = backends.log.clone();
        let context = Arc::new(NodeContext::new(settings, backends)?);
        let mut node =
            Self { context, shards: Vec::new(), next: Cell::new(0), tasks: RefCell::default() };
        let inboxes: Vec<_> =
            (0..settings.shards).map(|index| node.add_shard(index, settings.shards)).collect();
        let context = &node.context;
        context.readiness.set(Condition::AccessUnread, true);
        let intake = Intake::new(context.clone(), inboxes.clone()).run(feed.follow());
        let access = access_intake::follow(context.clone(), inboxes, feed.follow_access());
        let reader = context.reader.clone();
        node.spawn(intake);
        node.spawn(access);
        node.spawn(async move { reader.watch().await });
        Ok(node)
    }

    fn add_shard(
        &mut self,
        index: usize,
        shards: usize,
    ) -> mpsc::Sender<crate::inbox::ShardMessage> {
        let (inbox, messages) = mpsc::channel(SHARD_INBOX);
        let context = ShardContext {
            node: self.context.clone(),
            index: ShardIndex::from_index(index),
            shards,
            inbox: inbox.clone(),
            polling: Arc::default(),
        };
        let shard = Rc::new(RefCell::new(Shard::new(context)));
        self.shards.push(shard.clone());
        self.spawn(shard_task::run(shard, messages));
        inbox
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        tasks.retain(|task| !task.is_finished());
        tasks.push(spawn_local(task).abort_handle());
    }

    /// Cuts off all that the node does. Its clients lose their connections.
    pub fn crash(&self) {
        self.tasks.borrow().iter().for_each(AbortHandle::abort);
    }

    /// Whether the node is ready for clients.
    pub fn is_ready(&self) -> bool {
        self.context.readiness.is_ready()
    }

    /// Opens a WebSocket in JSON, after its handshake. `None` when the node admits no further
    /// client.
    pub fn connect(&self) -> Option<ClientEnd> {
        let node = &self.context;
        let address = ClientAddress::new([127, 0, 0, 1].into());
        let Some(Admission::Admitted(places)) =
            admission::admit(&node.limits, &node.proxies, address)
        else {
            return None;
        };
        let index = self.next.replace((self.next.get() + 1) % self.shards.len());
        let (socket, client) = duplex::pair();
        let shard = self.shards[index].clone();
        let client_of_audit = AuditedClient::default();
        self.spawn(connection::run_ws(shard, socket, Form::WsJson, client_of_audit, places));
        Some(client)
    }

    /// Appends a command and waits for its outcome, as a request over HTTP does. `None` when the
    /// command is appended and not decided yet.
    ///
    /// # Errors
    /// The code of a command that is not appended, or `try_again` when that is unknown.
    pub async fn submit(&self, record: CommandRecord) -> Result<Option<CommandOutcome>, Code> {
        // The guard of the node's own routes: nothing changes while the audit cannot be written.
        if self.context.audit.is_failing() {
            return Err(Code::TryAgain);
        }
        Ok(match self.context.commands.submit(record).await? {
            Submission::Decided(outcome) => Some(outcome),
            Submission::Pending => None,
        })
    }
}

impl Drop for LocalNode {
    fn drop(&mut self) {
        self.crash();
    }
}
