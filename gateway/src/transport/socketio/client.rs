//! The task of one Socket.IO client. It runs to hear what the client asks and to notice that bytes have left;
//! sockets are socketioxide's.

use std::{cell::RefCell, future::poll_fn, rc::Rc, sync::Arc, task::Poll, time::Duration};

use schemas::codes::Close;
use tokio::task::spawn_local;

use super::{Emitter, Heard, Link};
use crate::stream::shard::{Ready, Shard};

/// How long a client whose connection ends may take to hear why, and then to end its side of it.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a client holds of its shard and of its session: given back when the task ends, however it ends.
struct Seat {
    shard: Rc<RefCell<Shard>>,
    id: u32,
    link: Arc<Link>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shard.borrow_mut().remove(self.id);
        self.link.cut();
    }
}

/// Takes a connected client into its shard.
pub fn begin(shard: &Rc<RefCell<Shard>>, emitter: Box<Emitter>) {
    let link = emitter.link().clone();
    match shard.borrow_mut().add_socketio(emitter) {
        Some(id) => {
            spawn_local(run(Seat { shard: shard.clone(), id, link }));
        }
        None => link.cut(),
    }
}

async fn run(seat: Seat) {
    loop {
        match poll_fn(|cx| seat.shard.borrow_mut().conns().poll(seat.id, cx)).await {
            Ready::Read => match seat.link.heard() {
                Heard::Events(events) => seat.shard.borrow_mut().hear(seat.id, events),
                Heard::Flood => seat.shard.borrow_mut().conns().close(seat.id, Close::BadRequest),
                Heard::Gone { timed_out } => {
                    if timed_out {
                        seat.shard.borrow().count_close(Close::NoPong);
                    }
                    return;
                }
            },
            Ready::Write => seat.shard.borrow_mut().flush(seat.id),
            Ready::Close(close) => return farewell(&seat, close).await,
        }
    }
}

/// Says why, lets the client hear it and end its side, and cuts what is left. A slow client would not hear.
async fn farewell(seat: &Seat, close: Close) {
    seat.shard.borrow().count_close(close);
    if close == Close::Slow || !seat.shard.borrow_mut().say_farewell(seat.id, close) {
        return;
    }
    let heard = poll_fn(|cx| match seat.shard.borrow_mut().has_heard(seat.id, cx) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    });
    let _ = tokio::time::timeout(FAREWELL, heard).await;
    if let Some(lent_socket) = seat.link.lent_socket() {
        lent_socket.finish();
        let ended = poll_fn(|cx| {
            lent_socket.wake_on_progress(cx.waker());
            if lent_socket.is_gone() { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = tokio::time::timeout(FAREWELL, ended).await;
    }
}
