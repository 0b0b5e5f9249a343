use schemas::ids::{LocationId, TenantId};

use super::*;
use crate::{access::Role, protocol::Request, subscription::Stage};

fn claims(subject: &str, role: Role) -> Arc<Claims> {
    Arc::new(Claims {
        tenant: TenantId::new("demo").unwrap(),
        subject: subject.into(),
        role,
        locations: vec![LocationId::new("riverside").unwrap()],
        queues: vec![],
        tickets: vec![],
        appointments: Vec::new(),
        doctor: None,
        expires: 1000,
    })
}

fn follow(session: &mut Session, channel: &str) -> usize {
    session.add(Subscription {
        channel: Channel::parse(channel).unwrap(),
        source: 0,
        listed: 0,
        stage: Stage::Asked { request: 1, floor: None, give_up_at: 0, audit: None },
    })
}

fn subscribe(channel: &str) -> Command<'_> {
    Command { id: 2, request: Request::Subscribe { channel: channel.into(), since: None } }
}

const PONG: Command<'static> = Command { id: 0, request: Request::Pong };

#[test]
fn nothing_but_a_connect_opens_the_conversation() {
    let mut session = Session::default();
    let early = [subscribe("board:riverside"), PONG, Command { id: 1, request: Request::Pong }];
    for command in early {
        assert!(matches!(session.receive(command), Ask::Close(Close::BadRequest)));
    }
    let connect = |id| Command { id, request: Request::Connect { token: "t".into() } };
    assert!(matches!(session.receive(connect(0)), Ask::Close(Close::BadRequest)));
    assert!(matches!(session.receive(connect(1)), Ask::Connect { id: 1, .. }));
}

#[test]
fn a_subscribe_is_judged_by_form_then_access_then_repetition() {
    let mut session = Session::granted(claims("tv", Role::Display));
    let mut answer = |channel: &str| match session.receive(subscribe(channel)) {
        Ask::Error { code, .. } => Some(code),
        Ask::Subscribe { .. } => None,
        _ => panic!("neither allowed nor refused"),
    };
    assert_eq!(answer("weather:riverside"), Some(Code::UnknownChannel));
    assert_eq!(answer(&format!("board:{}", "x".repeat(200))), Some(Code::UnknownChannel));
    assert_eq!(answer("queue:riverside.general"), Some(Code::Forbidden));
    assert_eq!(answer("board:hillside"), Some(Code::Forbidden));
    assert_eq!(answer("board:riverside"), None);
    follow(&mut session, "board:riverside");
    let again = session.receive(subscribe("board:riverside"));
    assert!(matches!(again, Ask::Error { code: Code::AlreadySubscribed, .. }));
}

#[test]
fn a_pong_is_welcome_once_per_ping() {
    let mut session = Session::granted(claims("tv", Role::Display));
    session.awaits_pong = true;
    assert!(matches!(session.receive(PONG), Ask::Nothing));
    assert!(matches!(session.receive(PONG), Ask::Close(Close::BadRequest)));
}

#[test]
fn a_refresh_may_narrow_access_but_never_change_the_person() {
    let mut session = Session::granted(claims("a", Role::Reception));
    let queue = follow(&mut session, "queue:riverside.general");
    follow(&mut session, "board:riverside");
    assert_eq!(session.refreshed(claims("b", Role::Reception)), Err(Close::InvalidToken));
    assert_eq!(session.refreshed(claims("a", Role::Display)), Ok(vec![queue]));
}

#[test]
fn a_freed_slot_is_used_again() {
    let mut session = Session::granted(claims("a", Role::Reception));
    let first = follow(&mut session, "queue:riverside.general");
    let second = follow(&mut session, "board:riverside");
    session.subscriptions[first] = None;
    assert_eq!(follow(&mut session, "queue:riverside.other"), first);
    let unsubscribe =
        Command { id: 3, request: Request::Unsubscribe { channel: "board:riverside".into() } };
    assert!(
        matches!(session.receive(unsubscribe), Ask::Unsubscribe { id: 3, slot } if slot == second)
    );
}
