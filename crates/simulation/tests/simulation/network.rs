//! The processes of a run and their calls to the servers. A call is a message there and a message
//! back: a caller that gives up or dies does not stop an effect that is under way.

use std::{
    collections::BTreeMap,
    fmt,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fastrand::Rng;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep},
};

use crate::trace::Trace;

/// The servers that processes call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// In the place of Kafka.
    Log,
    /// In the place of PostgreSQL.
    Ledger,
    /// In the place of Redis.
    Store,
}

impl Server {
    pub const ALL: [Server; 3] = [Server::Log, Server::Ledger, Server::Store];
}

/// How a link between a process and a server is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Each call fails at once.
    Refused,
    /// No request arrives and no answer comes.
    Silent,
    /// Requests arrive, and no answer comes.
    OneWay,
}

/// Where a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Before,
    After,
}

/// The slowness of servers, which all processes feel.
#[derive(Default)]
pub struct Weather(Mutex<BTreeMap<Server, (Instant, Duration)>>);

impl Weather {
    /// Makes each call to the server take up to `most` longer, for a while.
    pub fn slow(&self, server: Server, most: Duration, lasting: Duration) {
        lock(&self.0).insert(server, (Instant::now() + lasting, most));
    }

    pub fn heal(&self) {
        lock(&self.0).clear();
    }

    fn delay(&self, server: Server, rng: &mut Rng) -> Duration {
        match lock(&self.0).get(&server) {
            Some((until, most)) if Instant::now() < *until => most.mul_f64(rng.f64()),
            _ => Duration::ZERO,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process from its start to its death. Its successor is another one.
pub struct Process {
    pub name: String,
    pub trace: Trace,
    weather: Arc<Weather>,
    state: Mutex<State>,
    /// Notified when the process dies.
    pub died: Notify,
}

struct State {
    rng: Rng,
    alive: bool,
    cuts: BTreeMap<Server, (Instant, Cut)>,
    /// The named point at which the process dies.
    dies_at: Option<(&'static str, Moment)>,
    /// One call in so many fails by itself. 0: none.
    one_in: u32,
}

/// The delays and the faults of one call.
struct Fate {
    there: Duration,
    back: Duration,
    cut: Option<Cut>,
    hangs: bool,
    dies: Option<Moment>,
}

impl Process {
    pub fn start(
        name: String,
        trace: &Trace,
        weather: &Arc<Weather>,
        rng: Rng,
        one_in: u32,
    ) -> Arc<Self> {
        trace.note(&name, "starts");
        let state = State { rng, alive: true, cuts: BTreeMap::new(), dies_at: None, one_in };
        Arc::new(Self {
            name,
            trace: trace.clone(),
            weather: weather.clone(),
            state: Mutex::new(state),
            died: Notify::new(),
        })
    }

    pub fn note(&self, what: impl fmt::Display) {
        self.trace.note(&self.name, what);
    }

    pub fn is_alive(&self) -> bool {
        lock(&self.state).alive
    }

    /// A random number of this process.
    pub fn below(&self, bound: u64) -> u64 {
        lock(&self.state).rng.u64(..bound)
    }

    /// Kills the process. Calls under way may still take effect.
    pub fn die(&self, why: impl fmt::Display) {
        if std::mem::replace(&mut lock(&self.state).alive, false) {
            self.note(format_args!("dies {why}"));
            self.died.notify_one();
        }
    }

    pub fn die_at(&self, op: &'static str, moment: Moment) {
        lock(&self.state).dies_at = Some((op, moment));
    }

    pub fn cut(&self, server: Server, cut: Cut, lasting: Duration) {
        self.note(format_args!("cut from {server:?} for {lasting:?}: {cut:?}"));
        lock(&self.state).cuts.insert(server, (Instant::now() + lasting, cut));
    }

    /// How long the link to the server is still cut.
    pub fn cut_for(&self, server: Server) -> Option<Duration> {
        let state = lock(&self.state);
        let (until, _) = state.cuts.get(&server)?;
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Ends every fault of the process but its death.
    pub fn heal(&self) {
        let mut state = lock(&self.state);
        state.cuts.clear();
        (state.dies_at, state.one_in) = (None, 0);
    }

    fn fate(&self, server: Server, op: &'static str) -> Option<Fate> {
        let mut state = lock(&self.state);
        if !state.alive {
            return None;
        }
        let State { rng, cuts, dies_at, one_in, .. } = &mut *state;
        let lasting = cuts.get(&server).filter(|(until, _)| Instant::now() < *until);
        let mut cut = lasting.map(|(_, cut)| *cut);
        let mut hangs = cut.is_some_and(|cut| cut != Cut::Refused);
        if cut.is_none() && *one_in > 0 && rng.u32(..*one_in) == 0 {
            cut = Some([Cut::Refused, Cut::Silent, Cut::OneWay][rng.usize(..3)]);
            hangs = rng.u8(..4) == 0;
        }
        let dies = dies_at.take_if(|(at, _)| *at == op).map(|(_, moment)| moment);
        let there = Duration::from_micros(rng.u64(300..3_000)) + self.weather.delay(server, rng);
        let back = Duration::from_micros(rng.u64(300..3_000));
        Some(Fate { there, back, cut, hangs, dies })
    }

    /// Calls a server. `effect` is what the server does.
    pub async fn call<T, E>(
        &self,
        server: Server,
        op: &'static str,
        effect: impl Future<Output = Result<T, E>> + Send + 'static,
        lost: impl FnOnce() -> E,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let Some(fate) = self.fate(server, op) else { return pending().await };
        if fate.dies == Some(Moment::Before) {
            self.die(format_args!("before {op}"));
            return pending().await;
        }
        if let Some(cut) = fate.cut {
            self.note(format_args!("{op} meets {cut:?}"));
        }
        let (reply, answer) = oneshot::channel();
        if matches!(fate.cut, None | Some(Cut::OneWay)) {
            let Fate { there, back, cut, .. } = fate;
            tokio::spawn(async move {
                sleep(there).await;
                let result = effect.await;
                sleep(back).await;
                if cut.is_none() {
                    let _ = reply.send(result); // the caller may be gone
                }
            });
        } else {
            drop(reply);
        }
        let result = match answer.await {
            Ok(result) => result,
            Err(_) if fate.hangs => return pending().await,
            Err(_) => Err(lost()),
        };
        if fate.dies == Some(Moment::After) {
            self.die(format_args!("after {op}"));
        }
        if self.is_alive() { result } else { pending().await }
    }
}
