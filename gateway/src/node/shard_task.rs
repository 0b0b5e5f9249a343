//! The task that drives a shard.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use crate::{inbox::ShardMessage, stream::shard::Shard, transport::socketio::client};

/// Messages handled before anything is written, so that changes that arrive together leave
/// together.
const MAX_BATCH: usize = 256;

/// Runs a shard until the node drops its inbox, or until the last connection has left a draining
/// node.
pub async fn run(shard: Rc<RefCell<Shard>>, mut inbox: mpsc::Receiver<ShardMessage>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut batch = Vec::with_capacity(MAX_BATCH);
    loop {
        let (due, unserved) = (shard.borrow().next_due(), shard.borrow().has_unserved());
        // The tick comes first, because messages may arrive without end. A fixed order makes a
        // simulated run repeatable.
        tokio::select! {
            biased;
            _ = tick.tick() => {
                let mut shard = shard.borrow_mut();
                shard.tick();
                if shard.is_drained() {
                    return;
                }
            }
            () = sleep_until(due) => shard.borrow_mut().send_delayed(),
            count = inbox.recv_many(&mut batch, MAX_BATCH) => {
                if count == 0 {
                    return;
                }
                for message in batch.drain(..) {
                    let connected = shard.borrow_mut().handle(message);
                    if let Some(peer) = connected {
                        client::start(&shard, peer);
                    }
                }
                shard.borrow_mut().serve_changes();
            }
            // The tasks of other connections run before the next turn of the sweep.
            () = tokio::task::yield_now(), if unserved => shard.borrow_mut().serve_changes(),
        }
    }
}

/// Sleeps until `due`, or for ever.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
