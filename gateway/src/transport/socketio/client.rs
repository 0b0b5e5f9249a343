//! The task of one Socket.IO client. It runs to read the client's events and to notice that bytes
//! have left. socketioxide owns the sockets.

use std::{cell::RefCell, future::poll_fn, rc::Rc, sync::Arc, task::Poll, time::Duration};

use gateway_core::session::CONNECT_WITHIN_S;
use schemas::codes::Close;
use tokio::task::spawn_local;

use crate::{
    inbox::ids::ConnId,
    stream::shard::Shard,
    wire::peer::{
        link::{ClientInput, SessionLink},
        outcome::Ready,
        socketio::SocketIoPeer,
    },
};

/// How long a client may take to get the reason of its end, and then as long again to end its side.
const FAREWELL: Duration = Duration::from_secs(1);

/// A client's registration in its shard. Dropping it removes the connection and cuts the session,
/// however the task ends, unless the client left and may connect again.
struct Registration {
    shard: Rc<RefCell<Shard>>,
    id: ConnId,
    link: Arc<SessionLink>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shard.borrow_mut().remove(self.id);
        if self.link.reopen() {
            spawn_local(cut_unless_connected(self.link.clone()));
        } else {
            self.link.cut();
        }
    }
}

/// Cuts the session of a client that left, unless it connects again in time.
async fn cut_unless_connected(link: Arc<SessionLink>) {
    tokio::time::sleep(Duration::from_secs(CONNECT_WITHIN_S)).await;
    if !link.is_admitted() {
        link.cut();
    }
}

/// Adds a connected client to its shard and starts its task. A client that has left meanwhile is
/// cut.
pub fn start(shard: &Rc<RefCell<Shard>>, peer: Box<SocketIoPeer>) {
    let link = peer.link().clone();
    match shard.borrow_mut().add_socketio(peer) {
        Some(id) => {
            spawn_local(run(Registration { shard: shard.clone(), id, link }));
        }
        None => link.cut(),
    }
}

async fn run(registration: Registration) {
    let Registration { shard, id, link } = &registration;
    loop {
        match poll_fn(|cx| shard.borrow_mut().connections().poll(*id, cx)).await {
            Ready::Read => match link.take_input() {
                ClientInput::Events(events) => shard.borrow_mut().receive_events(*id, events),
                ClientInput::Excess(excess) => shard.borrow_mut().close_for_frames(*id, excess),
                ClientInput::Flood => {
                    shard.borrow_mut().connections().close(*id, Close::BadRequest)
                }
                ClientInput::Gone { timed_out } => {
                    if timed_out {
                        shard.borrow().count_close(Close::NoPong);
                    }
                    return;
                }
            },
            Ready::Write => shard.borrow_mut().flush(*id),
            Ready::Close(close) => return say_farewell(&registration, close).await,
        }
    }
}

/// Sends the client the reason of its end and waits until it ends its side. A slow client is cut at
/// once: it would not read the reason.
async fn say_farewell(registration: &Registration, close: Close) {
    let Registration { shard, id, link } = registration;
    shard.borrow().count_close(close);
    if close == Close::Slow || !shard.borrow_mut().say_farewell(*id, close) {
        return;
    }
    let delivered = poll_fn(|cx| match shard.borrow_mut().has_left(*id, cx) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    });
    let _ = tokio::time::timeout(FAREWELL, delivered).await;
    if let Some(lent_socket) = link.lent_socket() {
        lent_socket.finish();
        let ended = poll_fn(|cx| {
            lent_socket.wake_on_progress(cx.waker());
            if lent_socket.is_gone() { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = tokio::time::timeout(FAREWELL, ended).await;
    }
}
