use schemas::ids::{LocationId, TenantId};

use super::*;
use crate::{
    access::{Origin, Role},
    subscription::{FloorTrust, HotViewId, ListenerIndex, Stage, Subscription},
};

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
        origin: Origin::default(),
    })
}

fn add(session: &mut Session, channel: &str) -> SubscriptionSlot {
    session.subscriptions.add(Subscription {
        channel: Channel::parse(channel).unwrap(),
        view: HotViewId::from_index(0),
        listed: ListenerIndex::from_index(0),
        stage: Stage::Pending {
            request: 1,
            floor: None,
            give_up_at: 0,
            audit: None,
            trust: FloorTrust::Trusted,
        },
    })
}

fn subscribe(channel: &str) -> ClientCommand<'_> {
    ClientCommand { id: 2, request: Request::Subscribe { channel: channel.into(), since: None } }
}

const PONG: ClientCommand<'static> = ClientCommand { id: 0, request: Request::Pong };

#[test]
fn first_command_must_be_a_connect() {
    let mut session = Session::default();
    let early =
        [subscribe("board:riverside"), PONG, ClientCommand { id: 1, request: Request::Pong }];
    for command in early {
        assert!(matches!(session.receive(command), Effect::Close(Close::BadRequest)));
    }
    let connect = |id| ClientCommand { id, request: Request::Connect { token: "t".into() } };
    assert!(matches!(session.receive(connect(0)), Effect::Close(Close::BadRequest)));
    assert!(matches!(session.receive(connect(1)), Effect::Connect { id: 1, .. }));
}

#[test]
fn subscribe_checks_name_then_access_then_repetition() {
    let mut session = Session::with_claims(claims("tv", Role::Display));
    let mut refusal = |channel: &str| match session.receive(subscribe(channel)) {
        Effect::Error { code, .. } => Some(code),
        Effect::Subscribe { .. } => None,
        _ => panic!("neither allowed nor refused"),
    };
    assert_eq!(refusal("weather:riverside"), Some(Code::UnknownChannel));
    assert_eq!(refusal(&format!("board:{}", "x".repeat(200))), Some(Code::UnknownChannel));
    assert_eq!(refusal("queue:riverside.general"), Some(Code::Forbidden));
    assert_eq!(refusal("board:hillside"), Some(Code::Forbidden));
    assert_eq!(refusal("board:riverside"), None);
    add(&mut session, "board:riverside");
    let again = session.receive(subscribe("board:riverside"));
    assert!(matches!(again, Effect::Error { code: Code::AlreadySubscribed, .. }));
}

#[test]
fn channels_of_a_connection_are_bounded() {
    let mut session = Session::with_claims(claims("desk", Role::Reception));
    for number in 1..MAX_CHANNELS {
        add(&mut session, &format!("ticket:riverside.{number:032x}"));
    }
    let claims = Arc::clone(session.claims().unwrap());
    assert_eq!(session.may_subscribe(&claims, "board:riverside").err(), None);
    add(&mut session, "board:riverside");
    assert_eq!(session.subscriptions.count(), MAX_CHANNELS);
    let one_more = session.may_subscribe(&claims, "load:riverside").err();
    assert_eq!(one_more, Some(Code::ChannelLimit));
}

#[test]
fn commands_and_subscribes_have_rates_of_their_own() {
    let mut session = Session::default();
    let now = Micros(1);
    let commands = (0..1_000).take_while(|_| session.may_command(now)).count();
    assert_eq!(commands, COMMANDS.burst as usize);
    let subscribes = (0..1_000).take_while(|_| session.may_open_channel(now)).count();
    assert_eq!(subscribes, SUBSCRIBES.burst as usize);
}

#[test]
fn connection_ends_with_its_token() {
    let mut session = Session::default();
    assert!(session.claims().is_none() && session.expires_at().is_none());
    session.connect(claims("tv", Role::Display));
    assert_eq!(session.claims().map(|claims| &*claims.subject), Some("tv"));
    assert_eq!(session.expires_at(), Some(1000));
}

#[test]
fn send_without_id_is_refused() {
    let send = || ClientCommand { id: 0, request: Request::NotOffered };
    let mut early = Session::default();
    assert!(matches!(early.receive(send()), Effect::Close(Close::BadRequest)));
    let mut session = Session::with_claims(claims("tv", Role::Display));
    let refused = session.receive(send());
    assert!(matches!(refused, Effect::Error { id: 0, code: Code::Unavailable, .. }));
    assert!(!session.awaits_pong, "a client may leave it unanswered");
    session.awaits_pong = true;
    assert!(matches!(session.receive(PONG), Effect::Pong));
    assert!(matches!(session.receive(PONG), Effect::Pong));
    assert!(matches!(session.receive(PONG), Effect::Close(Close::BadRequest)));
}

#[test]
fn each_ping_allows_one_pong() {
    let mut session = Session::with_claims(claims("tv", Role::Display));
    session.awaits_pong = true;
    assert!(matches!(session.receive(PONG), Effect::Pong));
    assert!(matches!(session.receive(PONG), Effect::Close(Close::BadRequest)));
}

#[test]
fn refresh_narrows_access_but_keeps_subject() {
    let mut session = Session::with_claims(claims("a", Role::Reception));
    let queue = add(&mut session, "queue:riverside.general");
    add(&mut session, "board:riverside");
    assert_eq!(session.refresh(claims("b", Role::Reception)), Err(Close::InvalidToken));
    assert_eq!(session.refresh(claims("a", Role::Display)), Ok(vec![queue]));
}

#[test]
fn freed_slot_is_used_again() {
    let mut session = Session::with_claims(claims("a", Role::Reception));
    let first = add(&mut session, "queue:riverside.general");
    let second = add(&mut session, "board:riverside");
    assert!(session.subscriptions.remove(first).is_some());
    assert_eq!(add(&mut session, "queue:riverside.other"), first);
    let unsubscribe = ClientCommand {
        id: 3,
        request: Request::Unsubscribe { channel: "board:riverside".into() },
    };
    let effect = session.receive(unsubscribe);
    assert!(matches!(effect, Effect::Unsubscribe { id: 3, slot } if slot == second));
}
