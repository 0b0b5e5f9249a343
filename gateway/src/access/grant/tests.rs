use std::{collections::HashMap, sync::Mutex};

use proptest::prelude::*;

use schemas::access::TargetKind;

use super::*;
use crate::{
    BoxFuture,
    backends::quota::{Quota, Spent},
    backends::short_keys::KeysUnavailable,
};

fn key() -> GrantKey {
    GrantKey::new(&[3; 32])
}

fn channel(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}

prop_compose! {
    fn any_channel()(
        kind in 0..3,
        location in "[a-z0-9-]{1,40}",
        slug in "[a-z0-9-]{1,40}",
        random: u128,
    ) -> Channel {
        match kind {
            0 => channel(&format!("board:{location}")),
            1 => channel(&format!("queue:{location}.{slug}")),
            _ => channel(&format!("ticket:{location}.{random:032x}")),
        }
    }
}

prop_compose! {
    fn any_grant()(
        tenant in "[a-z0-9-]{1,40}",
        subject in ".{1,40}",
        expires in 1..=Millis::MAX,
        issued in 0..=Millis::MAX,
        permission_version: Option<u32>,
        role in prop::sample::select(&Role::ALL[..]),
        crossed: bool,
        ids in prop::collection::vec(".{1,20}", 0..3),
        channels in prop::collection::vec(any_channel(), 1..5),
    ) -> Grant {
        let tenant = TenantId::new(tenant).unwrap();
        let mut origin = Origin::new(&tenant, &subject, issued);
        (origin.permission_version, origin.crossed) = (permission_version, crossed);
        ids.iter().for_each(|id| origin.add(&tenant, TargetKind::Session, id));
        Grant { tenant, subject: subject.into(), role, expires, channels, origin }
    }
}

fn opened(
    key: &GrantKey,
    sealed: &str,
    channels: &[Channel],
    now: Millis,
) -> Result<Grant, &'static str> {
    key.open(sealed, channels, now).map_err(Code::as_str)
}

proptest! {
    #[test]
    fn sealed_grant_opens_and_fits_event_id(grant in any_grant()) {
        let (sealed, expires) = (key().seal(&grant), grant.expires);
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        prop_assert!(sealed.bytes().all(fits), "{}", sealed);
        prop_assert!(opened(&key(), &sealed, &grant.channels, expires) == Err("token_expired"));
        prop_assert!(opened(&key(), &sealed, &grant.channels, expires - 1) == Ok(grant));
    }

    #[test]
    fn another_secret_opens_nothing(grant in any_grant()) {
        let sealed = GrantKey::new(&[4; 32]).seal(&grant);
        prop_assert!(opened(&key(), &sealed, &grant.channels, 0) == Err("stream_ticket_invalid"));
    }

    #[test]
    fn other_channels_or_another_order_do_not_open(grant in any_grant(), other in any_channel()) {
        let sealed = key().seal(&grant);
        let more = [&grant.channels[..], &[other]].concat();
        let mut turned = grant.channels.clone();
        turned.reverse();
        for channels in [&more[..], &grant.channels[1..], &turned] {
            if channels != grant.channels {
                prop_assert!(opened(&key(), &sealed, channels, 0) == Err("stream_ticket_invalid"));
            }
        }
    }

    #[test]
    fn no_changed_character_goes_unnoticed(
        grant in any_grant(),
        at: prop::sample::Index,
        with in "[a-zA-Z0-9_.-]",
    ) {
        let sealed = key().seal(&grant);
        let at = at.index(sealed.len());
        let mut changed = sealed.clone();
        changed.replace_range(at..=at, &with);
        // A grant that still opens must be the same grant: a number may be written in two ways.
        match opened(&key(), &changed, &grant.channels, 0) {
            Ok(same) => prop_assert!(same == grant),
            Err(code) => prop_assert_eq!(code, "stream_ticket_invalid"),
        }
    }

    #[test]
    fn nothing_else_opens(text in ".{0,120}") {
        prop_assert!(opened(&key(), &text, &[channel("board:riverside")], 0).is_err());
    }
}

#[test]
fn fields_cannot_be_shifted_into_their_neighbours() {
    let grant = |tenant: &str, subject: &str| Grant {
        tenant: TenantId::new(tenant).unwrap(),
        subject: subject.into(),
        role: Role::Display,
        expires: 1,
        channels: vec![channel("board:riverside")],
        origin: Origin::default(),
    };
    let mac = |grant: &Grant| key().seal(grant).rsplit_once('.').unwrap().1.to_owned();
    assert_ne!(mac(&grant("ab", "c")), mac(&grant("a", "bc")));
}

/// Short-lived keys in memory, without a clock.
#[derive(Default)]
struct KeysInMemory(Mutex<HashMap<String, String>>);

impl ShortKeys for KeysInMemory {
    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        _: Duration,
    ) -> BoxFuture<'a, Result<(), KeysUnavailable>> {
        self.0.lock().unwrap().insert(key.to_owned(), value.to_owned());
        Box::pin(async { Ok(()) })
    }

    fn claim<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        unreachable!("no key is claimed")
    }

    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        unreachable!("no key is read")
    }

    fn take<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        let value = self.0.lock().unwrap().remove(key);
        Box::pin(async { Ok(value) })
    }

    fn spend<'a>(&'a self, _: &'a str, _: Quota) -> BoxFuture<'a, Result<Spent, KeysUnavailable>> {
        unreachable!("no request is limited")
    }
}

/// Keys whose server is gone.
struct UnavailableKeys;

impl ShortKeys for UnavailableKeys {
    fn put<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Duration,
    ) -> BoxFuture<'a, Result<(), KeysUnavailable>> {
        Box::pin(async { Err(KeysUnavailable("connection refused".into())) })
    }

    fn claim<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        unreachable!("no key is claimed")
    }

    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        unreachable!("no key is read")
    }

    fn take<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        Box::pin(std::future::pending())
    }

    fn spend<'a>(&'a self, _: &'a str, _: Quota) -> BoxFuture<'a, Result<Spent, KeysUnavailable>> {
        unreachable!("no request is limited")
    }
}

fn grant() -> Grant {
    Grant {
        tenant: TenantId::new("demo").unwrap(),
        subject: "somebody".into(),
        role: Role::Doctor,
        expires: 1_000,
        channels: vec![channel("board:riverside"), channel("queue:riverside.general")],
        origin: Origin::new(&TenantId::new("demo").unwrap(), "somebody", 7),
    }
}

#[tokio::test]
async fn stream_ticket_opens_once() {
    let keys = KeysInMemory::default();
    let ticket = issue_ticket(&keys, &grant()).await.unwrap();
    let spent = spend_ticket(&keys, &ticket, grant().channels, 0).await;
    assert!(spent == Ok(grant()));
    let again = spend_ticket(&keys, &ticket, grant().channels, 0).await;
    assert_eq!(again.err(), Some(Code::StreamTicketInvalid));
}

#[tokio::test]
async fn stream_ticket_opens_subset_of_channels() {
    let keys = KeysInMemory::default();
    let ticket = issue_ticket(&keys, &grant()).await.unwrap();
    let some = vec![channel("queue:riverside.general")];
    assert!(
        spend_ticket(&keys, &ticket, some.clone(), 0)
            .await
            .unwrap_or_else(|c| panic!("{c}"))
            .channels
            == some
    );
    let ticket = issue_ticket(&keys, &grant()).await.unwrap();
    let other = vec![channel("board:riverside"), channel("board:north")];
    assert_eq!(spend_ticket(&keys, &ticket, other, 0).await.err(), Some(Code::StreamTicketInvalid));
}

#[tokio::test]
async fn stream_ticket_ends_with_token() {
    let keys = KeysInMemory::default();
    let ticket = issue_ticket(&keys, &grant()).await.unwrap();
    assert_eq!(spend_ticket(&keys, &ticket, vec![], 1_000).await.err(), Some(Code::TokenExpired));
}

#[tokio::test(start_paused = true)]
async fn failing_key_store_means_try_again() {
    assert_eq!(issue_ticket(&UnavailableKeys, &grant()).await.err(), Some(Code::TryAgain));
    let ticket = format!("{:032x}", 7);
    assert_eq!(
        spend_ticket(&UnavailableKeys, &ticket, vec![], 0).await.err(),
        Some(Code::TryAgain)
    );
    // A text that cannot be a ticket is refused without a lookup.
    assert_eq!(
        spend_ticket(&UnavailableKeys, "x", vec![], 0).await.err(),
        Some(Code::StreamTicketInvalid)
    );
}
