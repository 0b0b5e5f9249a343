//! Revoked and expired tokens: open connections close, and nothing accepts the token afterwards.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testing::{
    centrifugal::client::{JsonClient, Refusal},
    follower::ChannelFollower,
    http::ApiRequest,
    patience::{eventually, patiently},
    tokens::unix_seconds,
};

use crate::{
    stream::{self, Stream},
    world::{Site, World},
};

/// The promised time from the answer to a revocation to the close of the last connection.
const WITHIN: Duration = Duration::from_secs(5);
/// Measured revocations on each node.
const SCREENS: usize = 10;

/// A display's token under a subject of its own.
fn screen(world: &World, site: &Site, claims: Value) -> String {
    let mut all = json!({"locations": [site.location]});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    world.token("display", all)
}

fn fresh_subject() -> String {
    format!("screen-{:012x}", fastrand::u64(..1 << 48))
}

async fn revoke(world: &World, site: &Site, body: Value) {
    let request = ApiRequest::post("/v1/revocations").token(&site.admin).json(body);
    let answer = world.api.call(world.there(), request).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
}

/// Waits until the node accepts the token no more.
async fn until_refused(world: &World, node: &str, site: &Site, token: &str, code: &str) {
    let path = format!("/v1/boards/{}", site.location);
    eventually("the token is refused", || async {
        let answer = world.api.call(node, ApiRequest::get(&path).token(token)).await;
        (answer.status == 401 && answer.body["code"] == code).then_some(())
    })
    .await;
}

async fn until_closed(mut follower: ChannelFollower) -> u16 {
    loop {
        if let Err(code) = patiently("a close", follower.next()).await {
            return code;
        }
    }
}

pub async fn revoked_connections_close_on_every_node(world: &World) {
    let site = world.site().await;
    let board = format!("board:{}", site.location);
    let mut delays = Vec::new();
    for _ in 0..SCREENS {
        let subject = fresh_subject();
        let token = screen(world, &site, json!({"sub": subject}));
        let mut open = Vec::new();
        for node in [world.here(), world.there()] {
            open.push(ChannelFollower::start(node, &token, &board).await);
        }
        let began = Instant::now();
        revoke(world, &site, json!({"kind": "subject", "id": subject})).await;
        for follower in open {
            assert_eq!(until_closed(follower).await, 3507);
            delays.push(began.elapsed());
        }
    }
    delays.sort();
    let (p50, p99) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    #[expect(clippy::print_stderr, reason = "the delay is a figure that people read")]
    let () =
        eprintln!("revocation to close, {} connections: p50 {p50:?}, p99 {p99:?}", delays.len());
    assert!(p99 < WITHIN, "{p99:?}");
    // A session, a device and an unharmed neighbour.
    let neighbour = screen(world, &site, json!({"sub": fresh_subject()}));
    for (kind, claim) in [("session", "sid"), ("session", "jti"), ("device", "device")] {
        let id = fresh_subject();
        let token = screen(world, &site, json!({"sub": fresh_subject(), claim: id}));
        let follower = ChannelFollower::start(world.here(), &token, &board).await;
        revoke(world, &site, json!({"kind": kind, "id": id})).await;
        assert_eq!(until_closed(follower).await, 3507, "{kind}");
        until_refused(world, world.there(), &site, &token, "token_revoked").await;
    }
    assert!(ChannelFollower::try_start(world.here(), &neighbour, &board).await.is_ok());
}

pub async fn bumped_permissions_ask_for_a_newer_token(world: &World) {
    let site = world.site().await;
    let (subject, board) = (fresh_subject(), format!("board:{}", site.location));
    let versioned =
        |version: u32| screen(world, &site, json!({"sub": subject, "permission_version": version}));
    let follower = ChannelFollower::start(world.here(), &versioned(1), &board).await;
    revoke(world, &site, json!({"kind": "permissions", "id": subject, "permission_version": 2}))
        .await;
    assert_eq!(until_closed(follower).await, 4002, "an SDK comes back");
    // The old token is refused with a request for a newer one, which is accepted.
    let mut phone = JsonClient::open(world.here()).await;
    let connect = json!({"token": versioned(1)});
    assert_eq!(phone.command("connect", connect).await, Err(Refusal::Error(109)));
    assert!(ChannelFollower::try_start(world.here(), &versioned(2), &board).await.is_ok());
}

pub async fn revoked_subject_resumes_no_stream(world: &World) {
    let site = world.site().await;
    let (subject, board) = (fresh_subject(), format!("board:{}", site.location));
    let token = screen(world, &site, json!({"sub": subject}));
    let path = stream::path_for(world, &token, &[&board]).await;
    let mut open = Stream::open(world.here(), &path, None).await;
    open.expect("snapshot").await;
    let id = open.last_id().expect("events have ids").to_owned();
    revoke(world, &site, json!({"kind": "subject", "id": subject})).await;
    let told = loop {
        match open.event().await {
            Some(event) if event.name == "problem" => break event.data,
            Some(_) => {}
            None => panic!("the stream ended without a word"),
        }
    };
    assert_eq!((&told["code"], &told["retry"]), (&json!("token_revoked"), &json!(false)));
    until_refused(world, world.there(), &site, &token, "token_revoked").await;
    let mut again = Stream::open(world.there(), &path, Some(&id)).await;
    let refused = again.event().await.expect("a refusal is an event");
    assert_eq!(refused.data["code"], "token_revoked", "{}", refused.data);
    // A token that is issued later counts.
    let newer = json!({"sub": subject, "iat": unix_seconds() + 2});
    assert!(
        ChannelFollower::try_start(world.here(), &screen(world, &site, newer), &board)
            .await
            .is_ok()
    );
}

pub async fn connections_end_in_the_second_of_expiry(world: &World) {
    let site = world.site().await;
    let board = format!("board:{}", site.location);
    let expires = unix_seconds() + 4;
    let token = screen(world, &site, json!({"exp": expires}));
    let path = stream::path_for(world, &token, &[&board]).await;
    let mut open = Stream::open(world.here(), &path, None).await;
    open.expect("snapshot").await;
    let follower = ChannelFollower::start(world.here(), &token, &board).await;
    assert_eq!(until_closed(follower).await, 3005);
    let socket_closed = unix_seconds();
    let told = loop {
        match open.event().await {
            Some(event) if event.name == "problem" => break event.data,
            Some(_) => {}
            None => panic!("the stream ended without a word"),
        }
    };
    assert_eq!(told["code"], "token_expired");
    for closed in [socket_closed, unix_seconds()] {
        assert!((expires..=expires + 2).contains(&closed), "{closed} for {expires}");
    }
}

pub async fn client_is_asked_to_refresh_before_expiry(world: &World) {
    let site = world.site().await;
    for (left, told) in [(1_000, 970..=975), (40, 27..=30)] {
        let mut phone = JsonClient::open(world.here()).await;
        let token = screen(world, &site, json!({"exp": unix_seconds() + left}));
        let reply = phone.command("connect", json!({"token": token})).await.unwrap();
        let ttl = reply["ttl"].as_u64().unwrap();
        assert!(told.contains(&ttl), "{ttl} of {left}");
    }
}
