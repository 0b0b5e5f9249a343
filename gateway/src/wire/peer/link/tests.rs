use std::{
    future::{Future, poll_fn},
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Wake},
};

use gateway_core::access::{Origin, Role};
use schemas::ids::TenantId;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::wire::lent_socket::LentStream;

fn polling() -> SessionLink {
    SessionLink::new(None)
}

fn event() -> ClientEvent {
    ClientEvent { request: Err(Code::UnknownMethod), ack: None }
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
        origin: Origin::default(),
    }
}

async fn lent_socket() -> (Arc<LentSocket>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (LentSocket::new(near.into()), listener.accept().await.unwrap().0)
}

struct WakeCount(AtomicUsize);

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn answer_has_arrived_once_the_client_polls_again() {
    let link = polling();
    link.poll_begins();
    link.count_emitted(10);
    assert_eq!(link.polled_bytes(), (10, 0));
    link.poll_ends();
    link.count_emitted(5);
    assert_eq!(link.polled_bytes(), (15, 0));
    link.poll_begins();
    assert_eq!(link.polled_bytes(), (15, 10));
    link.poll_ends();
    link.poll_begins();
    assert_eq!(link.polled_bytes(), (15, 15));
}

#[tokio::test]
async fn answer_counts_as_arrived_during_an_upgrade() {
    let link = polling();
    link.poll_begins();
    link.count_emitted(10);
    link.poll_ends();
    let (lent_socket, _far) = lent_socket().await;
    assert!(link.upgrade(lent_socket));
    assert_eq!(link.polled_bytes(), (10, 10));
}

#[tokio::test]
async fn session_has_one_websocket_at_a_time() {
    let link = polling();
    let (first, _far) = lent_socket().await;
    let stream = LentStream::new(first.clone());
    let (second, _far) = lent_socket().await;
    assert!(link.upgrade(first));
    assert!(!link.upgrade(second.clone()));
    drop(stream);
    assert!(link.upgrade(second));
}

#[test]
fn too_many_waiting_events_are_a_flood() {
    let link = polling();
    for _ in 0..MAX_COMMANDS {
        link.push_event(event());
    }
    assert!(
        matches!(link.take_input(), ClientInput::Events(events) if events.len() == MAX_COMMANDS)
    );
    for _ in 0..=MAX_COMMANDS {
        link.push_event(event());
    }
    assert!(matches!(link.take_input(), ClientInput::Flood));
}

#[test]
fn session_connects_once_and_is_ignored_after_leaving() {
    let link = polling();
    assert!(link.connect(claims()));
    assert!(!link.connect(claims()));
    let wakes = Arc::new(WakeCount(AtomicUsize::new(0)));
    link.wake_on_news(&wakes.clone().into());
    link.push_event(event());
    assert!(link.has_input());
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    link.leave(DisconnectReason::HeartbeatTimeout);
    link.leave(DisconnectReason::TransportClose);
    link.push_event(event());
    assert!(matches!(link.take_input(), ClientInput::Gone { timed_out: true }));
}

#[test]
fn reconnects_of_a_session_are_bounded() {
    let link = polling();
    for _ in 0..MAX_RETURNS {
        assert!(link.connect(claims()));
        assert!(!link.reopen(), "it has not left");
        link.leave(DisconnectReason::ClientNSDisconnect);
        assert!(!link.connect(claims()), "its connection is not gone yet");
        assert!(link.reopen());
    }
    assert!(link.connect(claims()));
    link.leave(DisconnectReason::ClientNSDisconnect);
    assert!(!link.reopen());
}

#[test]
fn one_websocket_is_probed_at_a_time() {
    let link = polling();
    assert!(link.probe_begins());
    assert!(!link.probe_begins());
    link.probe_ends();
    assert!(link.probe_begins());
}

#[tokio::test]
async fn cut_ends_waiting_and_later_polls() {
    let link = polling();
    let mut waiting = Box::pin(link.until_cut());
    let first =
        poll_fn(|cx: &mut Context<'_>| Poll::Ready(waiting.as_mut().poll(cx).is_ready())).await;
    assert!(!first);
    link.cut();
    waiting.await;
    link.until_cut().await;
    assert!(!link.connect(claims()));
}

#[test]
fn ended_session_leaves_the_list() {
    let list = Arc::new(PollingSessions::new());
    let link = Arc::new(polling());
    let sid = Sid::new();
    list.insert(sid, Arc::downgrade(&link));
    link.listed_in(&list, sid);
    assert_eq!(list.len(), 1);
    drop(link);
    assert!(list.is_empty());
}
