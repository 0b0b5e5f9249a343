use std::{
    future::{Future, poll_fn},
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Wake},
};

use gateway_core::access::Role;
use schemas::ids::TenantId;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::transport::lent_socket::LentStream;

fn polling() -> Link {
    Link::new(mpsc::channel(1).0, None)
}

fn event() -> Event {
    Event { request: Err(Code::UnknownMethod), ack: None }
}

fn claims() -> Claims {
    Claims {
        tenant: TenantId::new("demo").unwrap(),
        subject: "a".into(),
        role: Role::Display,
        locations: Vec::new(),
        queues: Vec::new(),
        tickets: Vec::new(),
        appointments: Vec::new(),
        doctor: None,
        expires: 1000,
    }
}

async fn lent_socket() -> (Arc<LentSocket>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (LentSocket::new(near), listener.accept().await.unwrap().0)
}

struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn what_a_poll_was_answered_with_has_arrived_when_the_client_polls_again() {
    let link = polling();
    link.poll_begins();
    link.emits(10);
    assert_eq!(link.polled(), (10, 0));
    link.poll_ends();
    link.emits(5);
    assert_eq!(link.polled(), (15, 0));
    link.poll_begins();
    assert_eq!(link.polled(), (15, 10));
    link.poll_ends();
    link.poll_begins();
    assert_eq!(link.polled(), (15, 15));
}

#[tokio::test]
async fn while_a_session_upgrades_an_answer_counts_as_arrived_because_no_poll_follows_it() {
    let link = polling();
    link.poll_begins();
    link.emits(10);
    link.poll_ends();
    let (lent_socket, _far) = lent_socket().await;
    assert!(link.upgrades_to(lent_socket));
    assert_eq!(link.polled(), (10, 10));
}

#[tokio::test]
async fn a_session_has_one_websocket_at_a_time() {
    let link = polling();
    let (first, _far) = lent_socket().await;
    let stream = LentStream(first.clone());
    let (second, _far) = lent_socket().await;
    assert!(link.upgrades_to(first));
    assert!(!link.upgrades_to(second.clone()));
    drop(stream);
    assert!(link.upgrades_to(second));
}

#[test]
fn more_events_than_one_frame_may_carry_are_a_flood() {
    let link = polling();
    for _ in 0..MAX_COMMANDS {
        link.hear(event());
    }
    assert!(matches!(link.heard(), Heard::Events(events) if events.len() == MAX_COMMANDS));
    for _ in 0..=MAX_COMMANDS {
        link.hear(event());
    }
    assert!(matches!(link.heard(), Heard::Flood));
}

#[test]
fn a_session_connects_once_and_is_heard_until_it_leaves() {
    let link = polling();
    assert!(link.admit(claims()));
    assert!(!link.admit(claims()));
    let woken = Arc::new(Woken(AtomicUsize::new(0)));
    link.wake_on_news(&woken.clone().into());
    link.hear(event());
    assert!(link.has_news());
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    link.leave(DisconnectReason::HeartbeatTimeout);
    link.leave(DisconnectReason::TransportClose);
    link.hear(event());
    assert!(matches!(link.heard(), Heard::Gone { timed_out: true }));
}

#[tokio::test]
async fn a_cut_ends_the_poll_that_waits_and_each_later_one() {
    let link = polling();
    let mut waiting = Box::pin(link.until_cut());
    let first =
        poll_fn(|cx: &mut Context<'_>| Poll::Ready(waiting.as_mut().poll(cx).is_ready())).await;
    assert!(!first);
    link.cut();
    waiting.await;
    link.until_cut().await;
    assert!(!link.admit(claims()));
}

#[test]
fn a_session_that_ends_leaves_the_list() {
    let list = Arc::new(Polling::new());
    let link = Arc::new(polling());
    let sid = Sid::new();
    list.insert(sid, Arc::downgrade(&link));
    link.is_in(&list, sid);
    assert_eq!(list.len(), 1);
    drop(link);
    assert!(list.is_empty());
}
