//! Credentials that Clinicwire itself gives out, links of tickets and credentials of displays, and
//! the list of sessions that use them.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use testing::{
    follower::ChannelFollower,
    http::{ApiRequest, ApiResponse},
    patience::{eventually, patiently},
    tokens::unix_seconds,
};

use crate::world::{Site, World, issued};

/// Time within which the last connection closes after the answer to a revocation.
const WITHIN: Duration = Duration::from_secs(5);

async fn post(world: &World, path: &str, body: Value) -> ApiResponse {
    world.api.call(world.there(), ApiRequest::post(path).json(body)).await
}

async fn ask(world: &World, method: Method, path: &str, token: &str, body: Value) -> ApiResponse {
    world.api.call(world.there(), ApiRequest::new(method, path).token(token).json(body)).await
}

fn text(answer: &ApiResponse, field: &str) -> String {
    answer.body[field].as_str().unwrap_or_else(|| panic!("{field} in {}", answer.body)).to_owned()
}

async fn until_closed(mut follower: ChannelFollower) -> u16 {
    loop {
        if let Err(code) = patiently("a close", follower.next()).await {
            return code;
        }
    }
}

/// Pairs a screen with the site. Returns the display and its credential.
async fn pair(world: &World, site: &Site) -> (String, String) {
    let begun = post(world, "/v1/displays/pairings", json!({})).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    let (code, secret) = (text(&begun, "code"), text(&begun, "secret"));
    let approve = format!("/v1/displays/pairings/{code}/approve");
    let named = json!({"location": site.location, "name": "Entrance"});
    let approved = ask(world, Method::POST, &approve, &site.reception, named).await;
    assert_eq!(approved.status, 201, "{}", approved.body);
    let poll = format!("/v1/displays/pairings/{code}/credential");
    let credential = eventually("the screen has a credential", || async {
        let answer = post(world, &poll, json!({"secret": secret})).await;
        (answer.status == 200).then(|| text(&answer, "token"))
    })
    .await;
    (text(&approved, "display"), credential)
}

async fn displays(world: &World, site: &Site) -> Vec<String> {
    let path = format!("/v1/displays?location={}", site.location);
    let listed = world.read(&site.reception, path).await;
    let listed = listed["displays"].as_array().unwrap();
    listed.iter().map(|display| display["name"].as_str().unwrap().to_owned()).collect()
}

pub async fn paired_display_follows_its_board_until_it_is_removed(world: &World) {
    let site = world.site().await;
    let (display, credential) = pair(world, &site).await;
    let renewed = ask(world, Method::POST, "/v1/tokens/renew", &credential, json!({})).await;
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    let board = format!("board:{}", site.location);
    let mut open = Vec::new();
    for (node, token) in [(world.here(), &credential), (world.there(), &text(&renewed, "token"))] {
        open.push(ChannelFollower::start(node, token, &board).await);
    }
    assert_eq!(displays(world, &site).await, ["Entrance"]);
    let path = format!("/v1/displays/{display}");
    let hall = json!({"name": "Hall"});
    world.apply(&site.reception, Method::PATCH, path.clone(), hall).await;
    assert_eq!(displays(world, &site).await, ["Hall"]);
    let began = Instant::now();
    world.apply(&site.reception, Method::DELETE, path, json!({})).await;
    for follower in open {
        assert_eq!(until_closed(follower).await, 3507);
    }
    assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
    assert!(displays(world, &site).await.is_empty());
    let again = ask(world, Method::POST, "/v1/tokens/renew", &credential, json!({})).await;
    assert_eq!((again.status, again.problem_code()), (401, "token_revoked"));
}

pub async fn ticket_link_opens_its_ticket_and_follows_a_move(world: &World) {
    let (from, to) = (world.site().await, world.site().await);
    let path = format!("/v1/queues/{}/tickets", from.general);
    let outcome = world.apply(&from.admin, Method::POST, path, json!({})).await;
    let own = issued(&outcome);
    let (key, code) = (&outcome["link"]["key"], &outcome["link"]["code"]);
    let mut tokens = Vec::new();
    for body in [json!({"link": key}), json!({"code": code})] {
        let answer = post(world, "/v1/ticket-links/exchange", body).await;
        assert_eq!((answer.status, &answer.body["ticket"]), (200, &json!(own.ticket)));
        tokens.push(text(&answer, "token"));
    }
    for token in &tokens {
        let channel = format!("ticket:{}", own.ticket);
        assert!(ChannelFollower::try_start(world.here(), token, &channel).await.is_ok());
    }
    let transfer = format!("/v1/tickets/{}/transfer", own.ticket);
    world.apply(&from.admin, Method::POST, transfer, json!({"queue": to.general})).await;
    let moved = eventually("the link leads to the new ticket", || async {
        let answer = post(world, "/v1/ticket-links/exchange", json!({"link": key})).await;
        (answer.body["ticket"] != json!(own.ticket)).then_some(answer)
    })
    .await;
    let there = text(&moved, "ticket");
    assert!(there.starts_with(&to.location), "{there}");
    let read = format!("/v1/tickets/{there}");
    assert_eq!(world.read(&text(&moved, "token"), read).await["state"], "waiting");
}

pub async fn sessions_of_all_nodes_are_listed_and_ended(world: &World) {
    let site = world.site().await;
    let subject = format!("nurse-{:012x}", fastrand::u64(..1 << 48));
    let token = |session: &str| {
        let claims = json!({"sub": subject, "sid": session, "locations": [site.location]});
        world.token("reception", claims)
    };
    let (desk, phone) = (token("desk"), token("phone"));
    let queue = format!("queue:{}", site.general);
    let at_desk = ChannelFollower::start(world.here(), &desk, &queue).await;
    let _on_phone = ChannelFollower::start(world.there(), &phone, &queue).await;
    let list = async |bearer: &str| {
        let path = format!("/v1/sessions?subject={subject}");
        let answer = ask(world, Method::GET, &path, bearer, json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    };
    let listed = list(&site.admin).await;
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 2, "{listed}");
    let own = list(&desk).await["own"].as_str().unwrap().to_owned();
    let began = Instant::now();
    let path = format!("/v1/sessions/{own}");
    let ended = ask(world, Method::DELETE, &path, &site.admin, json!({})).await;
    assert_eq!(ended.status, 202, "{}", ended.body);
    assert_eq!(until_closed(at_desk).await, 3507);
    assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
    // A node lists a connection until its client has answered the close.
    eventually("the other session is left alone", || async {
        let left = list(&phone).await;
        let left = left["sessions"].as_array()?;
        (left.len() == 1 && left[0]["session"] != json!(own)).then_some(())
    })
    .await;
}

/// Crosses to a location in an emergency.
async fn cross(world: &World, token: &str, location: &str) -> String {
    let request = ApiRequest::post(&format!("/v1/locations/{location}/crossings")).token(token);
    let request = request.header("clinicwire-reason", "Code blue in the waiting room");
    let answer = world.api.call(world.here(), request).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    text(&answer, "token")
}

pub async fn crossing_is_a_listed_session_that_ends_alone(world: &World) {
    let (site, elsewhere) = (world.site().await, world.site().await);
    let subject = format!("nurse-{:012x}", fastrand::u64(..1 << 48));
    // Scenarios share a tenant, and another one ends its session `desk`.
    let claims = json!({"sub": subject, "sid": subject, "locations": [site.location]});
    let home = world.token("reception", claims);
    let crossed = cross(world, &home, &elsewhere.location).await;
    let queue = |site: &Site| format!("queue:{}", site.general);
    let mut at_home = ChannelFollower::start(world.here(), &home, &queue(&site)).await;
    let away = ChannelFollower::start(world.there(), &crossed, &queue(&elsewhere)).await;
    let sessions = async || {
        let path = format!("/v1/sessions?subject={subject}");
        let answer = ask(world, Method::GET, &path, &site.admin, json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["sessions"].as_array().unwrap().clone()
    };
    let listed = sessions().await;
    let crossings: Vec<_> = listed.iter().filter(|one| one["crossed"] == true).collect();
    assert!(listed.len() == 2 && crossings.len() == 1, "{listed:?}");
    let path = format!("/v1/sessions/{}", crossings[0]["session"].as_str().unwrap());
    let began = Instant::now();
    let ended = ask(world, Method::DELETE, &path, &site.admin, json!({})).await;
    assert_eq!(ended.status, 202, "{}", ended.body);
    assert_eq!(until_closed(away).await, 3507);
    assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
    // The node may still wait for the client's answer to its close.
    eventually("only the session at home is listed", || async {
        let left = sessions().await;
        (left.len() == 1 && left[0]["crossed"] == false).then_some(())
    })
    .await;
    world.issue(&site, &site.general).await;
    at_home.next().await.expect("the session at home goes on");
}

/// It ends after fifteen minutes at most, and here with the token that began it.
pub async fn crossing_closes_when_it_expires(world: &World) {
    let (site, elsewhere) = (world.site().await, world.site().await);
    let expires = unix_seconds() + 4;
    let home = world.token("reception", json!({"locations": [site.location], "exp": expires}));
    let crossed = cross(world, &home, &elsewhere.location).await;
    let queue = format!("queue:{}", elsewhere.general);
    let away = ChannelFollower::start(world.there(), &crossed, &queue).await;
    assert_eq!(until_closed(away).await, 3005);
    let late = unix_seconds() - expires;
    assert!((0..=2).contains(&late), "{late} s late");
    let path = format!("/v1/queues/{}", elsewhere.general);
    let refused = ask(world, Method::GET, &path, &crossed, json!({})).await;
    assert_eq!((refused.status, refused.problem_code()), (401, "token_expired"));
}
