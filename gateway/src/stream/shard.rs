//! A shard: one thread that owns its sockets, its listeners and its folds of hot views, without locks. Intake
//! hands it records; it folds them, marks who is owed what, and writes straight to the sockets. Nothing in
//! here awaits: loading is handed to the node's runtime and comes back as a message.

mod commands;
mod conns;
mod pace;
mod socketio;
mod sources;
mod sweep;

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use gateway_core::{
    access::Claims,
    protocol::Reply,
    session::Session,
    subscription::{Stage, Subscription},
};
use schemas::{
    channel::Channel,
    codes::{Close, Code},
    ids::{Aggregate, RunId},
    view::Position,
};
use slab::Slab;
use tokio::{net::TcpStream, sync::mpsc, time::Instant};

pub use self::conns::{Conns, Peer, Ready};
use self::sources::{Loaded, Named, Source};
use crate::{
    access::audit::{Action, Audit},
    access::auth::Verifier,
    clock,
    metrics::Metrics,
    stream::frames::{self, Form},
    stream::reader::Reader,
    stream::tails::{Step, Tails},
    transport::socketio::{Emitter, client},
};

/// Seconds a subscribe may wait for its view, or for this node to reach the client's position. The JavaScript
/// SDK gives a reply five.
const ANSWER_WITHIN_S: u64 = 4;
/// Messages taken from the inbox before anything is written: what arrives together leaves together.
const TAKE_AT_ONCE: usize = 256;

pub enum ToShard {
    /// A record of an aggregate this shard listens to.
    Step(Arc<Step>),
    /// A view that was asked for.
    Loaded(Loaded),
    /// The audit holds what a subscription waits for, or could not be written.
    Audited { id: u32, slot: usize, audit: u64, written: Result<(), Code> },
    /// A client of Socket.IO connected.
    SocketIo(Box<Emitter>),
    /// Nothing held is current any more.
    Reload,
    /// Close every socket within this time.
    Drain(Duration),
}

/// What a shard needs of its node.
pub struct Links {
    pub index: usize,
    pub tails: Arc<Tails>,
    pub reader: Arc<Reader>,
    pub verifier: Arc<Verifier>,
    pub metrics: Arc<Metrics>,
    pub audit: Audit,
    /// Where loads run.
    pub node: tokio::runtime::Handle,
    /// The shard's own inbox.
    pub inbox: mpsc::Sender<ToShard>,
}

pub struct Shard {
    links: Links,
    conns: Conns,
    sources: Slab<Source>,
    names: HashMap<Aggregate, Named>,
    frames: sweep::Frames,
    /// Sources that moved since the last sweep.
    changed: Vec<u32>,
    /// Sources whose step waits until then, because their last one was sent a moment ago.
    delayed: BTreeSet<(Instant, u32)>,
    /// Sources whose load failed while somebody still listens.
    retry: Vec<u32>,
    loads: u64,
    /// Entries of the audit asked for.
    audits: u64,
    began: Instant,
    /// Connections that speak plain HTTP.
    pub speaking: usize,
    /// When each socket is to be closed, once the node drains; the latest first.
    drain: Option<Vec<(u64, u32)>>,
}

impl Shard {
    pub fn new(links: Links) -> Self {
        let mut shard = Self {
            links,
            conns: Conns::default(),
            sources: Slab::new(),
            names: HashMap::new(),
            frames: sweep::Frames::default(),
            changed: Vec::new(),
            delayed: BTreeSet::new(),
            retry: Vec::new(),
            loads: 0,
            audits: 0,
            began: Instant::now(),
            speaking: 0,
            drain: None,
        };
        shard.read_clocks();
        shard
    }

    fn read_clocks(&mut self) {
        self.conns.now = self.began.elapsed().as_secs();
        self.conns.wall = clock::now();
    }

    pub fn conns(&mut self) -> &mut Conns {
        &mut self.conns
    }

    /// Takes a WebSocket in: `form` says what was agreed on in its handshake.
    pub fn add_ws(&mut self, socket: Rc<TcpStream>, form: Form) -> u32 {
        self.count_opened(form);
        self.conns.add(Peer::Socket(socket), form, "".into(), Session::default(), jitter())
    }

    /// Takes an SSE stream in: its head has been written, its channels were authorised by its grant.
    pub fn add_sse(
        &mut self,
        socket: Rc<TcpStream>,
        claims: Arc<Claims>,
        sealed: Box<str>,
        channels: Vec<(Channel, Option<Position>)>,
    ) -> u32 {
        self.count_opened(Form::Sse);
        let session = Session::granted(claims);
        let id = self.conns.add(Peer::Socket(socket), Form::Sse, sealed, session, jitter());
        // All slots first: an event's id names the positions of all channels.
        let slots: Vec<usize> = channels
            .into_iter()
            .filter_map(|(channel, since)| self.follow(id, 0, channel, since))
            .collect();
        for slot in slots {
            self.answer(id, slot);
        }
        id
    }

    fn count_opened(&self, form: Form) {
        let (metrics, transport) = (&self.links.metrics, form.transport());
        metrics.connections.of(transport).inc();
        metrics.connections_opened.of(transport).inc();
    }

    /// Takes a connection out, with everything it listened to.
    pub fn remove(&mut self, id: u32) {
        for slot in 0..self.conns.get(id).map_or(0, |conn| conn.session.subscriptions.len()) {
            self.leave(id, slot);
        }
        let form = self.conns.remove(id).form;
        self.links.metrics.connections.of(form.transport()).dec();
    }

    pub fn count_close(&self, close: Close) {
        self.links.metrics.close(close);
    }

    /// Registers a subscription; it is answered as soon as its view is at hand.
    fn follow(
        &mut self,
        id: u32,
        request: u32,
        channel: Channel,
        since: Option<Position>,
    ) -> Option<usize> {
        let claims = self.conns.get(id)?.session.claims()?.clone();
        let aggregate = channel.aggregate(&claims.tenant);
        self.links.metrics.subscriptions.of(&channel).inc();
        let source = self.open(&aggregate, &channel);
        let audited = match &channel {
            Channel::Run(run) if self.conns.get(id)?.form.has_replies() => {
                Audit::concerns(&claims, Some(run)).then(|| run.clone())
            }
            _ => None,
        };
        let audit = audited.is_some().then_some(self.audits);
        let stage = Stage::Asked {
            request,
            floor: since,
            give_up_at: self.conns.now + ANSWER_WITHIN_S,
            audit,
        };
        let listed = self.sources[source as usize].listeners().len() as u32;
        let slot =
            self.conns.get_mut(id)?.session.add(Subscription { channel, source, listed, stage });
        if let Some(run) = audited {
            self.write_audit(id, slot, claims, run);
        }
        self.sources[source as usize].listeners_mut().push((id, slot as u32));
        self.conns.look_again(id);
        Some(slot)
    }

    /// Has it written that the bearer opens this run; the subscription is answered once it is.
    fn write_audit(&mut self, id: u32, slot: usize, claims: Arc<Claims>, run: RunId) {
        let (audit, log, inbox) = (self.audits, self.links.audit.clone(), self.links.inbox.clone());
        self.audits += 1;
        self.links.node.spawn(async move {
            let written = log.seen(&claims, Action::Open, Some(&run)).await;
            let _ = inbox.send(ToShard::Audited { id, slot, audit, written }).await;
        });
    }

    /// Answers the subscription that waited for the audit, or refuses it.
    fn audited(&mut self, id: u32, slot: usize, number: u64, written: Result<(), Code>) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(Some(subscription)) = conn.session.subscriptions.get_mut(slot) else { return };
        match &mut subscription.stage {
            Stage::Asked { audit, .. } if *audit == Some(number) => *audit = None,
            _ => return, // it is another's by now
        }
        match written {
            Ok(()) => self.answer(id, slot),
            Err(code) => self.refuse(id, slot, code),
        }
    }

    /// Ends one subscription and tells the client why.
    fn end(&mut self, id: u32, slot: usize, close: Close) {
        let Some(conn) = self.conns.get(id) else { return };
        let Some(Some(subscription)) = conn.session.subscriptions.get(slot) else { return };
        let channel = subscription.channel.clone();
        self.conns.reply(id, &Reply::Unsubscribe { channel: &channel, close });
        self.leave(id, slot);
    }

    /// Refuses a subscription that was asked for.
    fn refuse(&mut self, id: u32, slot: usize, code: Code) {
        let Some(conn) = self.conns.get(id) else { return };
        let Some(Some(subscription)) = conn.session.subscriptions.get(slot) else { return };
        let Stage::Asked { request, .. } = subscription.stage else { return };
        if conn.form.has_replies() {
            self.conns.reply(id, &Reply::Error { id: request, code });
        } else {
            let error =
                frames::sse_error(Some(&subscription.channel), code, self.refusal_id(id, code));
            self.conns.push(id, error.into());
        }
        self.leave(id, slot);
        self.end_empty_stream(id);
    }

    /// The id of an SSE error that leaves its stream without a channel for good: the browser comes back with
    /// it and is told to stop.
    fn refusal_id(&self, id: u32, code: Code) -> Option<&'static str> {
        let followed = self
            .conns
            .get(id)
            .map_or(0, |conn| conn.session.subscriptions.iter().flatten().count());
        (followed == 1 && !code.is_temporary()).then_some(frames::REFUSED)
    }

    /// A stream that carries nothing any more ends; a browser then comes back by itself.
    fn end_empty_stream(&mut self, id: u32) {
        let empty = self.conns.get(id).is_some_and(|conn| {
            !conn.form.has_replies() && conn.session.subscriptions.iter().all(Option::is_none)
        });
        if empty {
            self.conns.close(id, Close::PermissionDenied);
        }
    }

    /// Writes what waits for a socket that became writable, then the state it missed meanwhile.
    pub fn flush(&mut self, id: u32) {
        if self.conns.flush(id) {
            for slot in 0..self.conns.get(id).map_or(0, |conn| conn.session.subscriptions.len()) {
                self.catch_up(id, slot);
            }
        }
    }

    fn take(&mut self, message: ToShard) {
        match message {
            ToShard::Step(step) => self.fold(&step),
            ToShard::SocketIo(_) => {} // taken by `run`, which its task needs
            ToShard::Loaded(loaded) => self.loaded(loaded),
            ToShard::Audited { id, slot, audit, written } => self.audited(id, slot, audit, written),
            ToShard::Reload => {
                for source in self.sources.iter().map(|(index, _)| index as u32).collect::<Vec<_>>()
                {
                    self.reload(source);
                }
            }
            ToShard::Drain(window) => self.begin_drain(window),
        }
    }

    /// Once a second: every deadline there is.
    fn tick(&mut self) {
        self.read_clocks();
        for id in self.conns.due() {
            for slot in self.conns.tick(id) {
                self.refuse(id, slot, Code::TryAgain);
            }
        }
        for source in std::mem::take(&mut self.retry) {
            if self.sources.contains(source as usize) {
                self.reload(source);
            }
        }
        self.drain_some();
        let metrics = &self.links.metrics;
        for (form, sent) in Form::ALL.into_iter().zip(std::mem::take(&mut self.conns.sent)) {
            metrics.deliveries.of(form.transport()).inc_by(sent.frames);
            metrics.bytes_written.of(form.transport()).inc_by(sent.bytes);
        }
    }

    /// Gives every socket a second of the window, in an order nobody can foresee, so that a node's clients
    /// do not arrive elsewhere all at once.
    fn begin_drain(&mut self, window: Duration) {
        let mut ids = self.conns.ids();
        for index in (1..ids.len()).rev() {
            ids.swap(index, (jitter() * (index + 1) as f32) as usize % (index + 1));
        }
        let count = ids.len().max(1) as u64;
        let mut due: Vec<(u64, u32)> = (ids.into_iter().enumerate())
            .map(|(index, id)| (self.conns.now + index as u64 * window.as_secs() / count, id))
            .collect();
        due.reverse();
        self.drain = Some(due);
        self.drain_some();
    }

    fn drain_some(&mut self) {
        let Some(mut due) = self.drain.take() else { return };
        while due.last().is_some_and(|(second, _)| *second <= self.conns.now) {
            let Some((_, id)) = due.pop() else { break };
            if self.conns.get(id).is_some_and(|conn| conn.form == Form::Sse) {
                // The one protocol whose clients can be told when to return.
                let retry = 500 + (jitter() * 4500.0) as u32;
                self.conns.push(id, format!("retry: {retry}\n\n").into());
            }
            self.conns.close(id, Close::Shutdown);
        }
        self.drain = Some(due);
    }

    fn drained(&self) -> bool {
        self.drain.as_ref().is_some_and(Vec::is_empty)
            && self.conns.count() == 0
            && self.speaking == 0
    }
}

/// Runs a shard until the node drops its inbox, or until the last socket has left a draining node.
pub async fn run(shard: Rc<RefCell<Shard>>, mut inbox: mpsc::Receiver<ToShard>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut taken = Vec::with_capacity(TAKE_AT_ONCE);
    loop {
        let due = shard.borrow().next_due();
        tokio::select! {
            count = inbox.recv_many(&mut taken, TAKE_AT_ONCE) => {
                if count == 0 {
                    return;
                }
                for message in taken.drain(..) {
                    match message {
                        ToShard::SocketIo(emitter) => client::begin(&shard, emitter),
                        message => shard.borrow_mut().take(message),
                    }
                }
                shard.borrow_mut().sweep();
            }
            () = at(due) => {
                let mut shard = shard.borrow_mut();
                shard.take_due();
                shard.sweep();
            }
            _ = tick.tick() => {
                let mut shard = shard.borrow_mut();
                shard.tick();
                shard.sweep();
                if shard.drained() {
                    return;
                }
            }
        }
    }
}

/// Ends then, or never.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// 0 to 1, to spread things; nothing secret depends on it.
fn jitter() -> f32 {
    getrandom::u32().map_or(0.5, |bits| bits as f32 / u32::MAX as f32)
}

#[cfg(test)]
mod tests;
