//! Hostile requests that need no token, or that give one: codes, pairings, one-time tickets.

use serde_json::json;

use super::{
    Siege,
    requests::{bearer, repeat, request},
};

/// Characters of codes.
const ALPHABET: &[u8] = b"23456789CDFHJKMNPQRTVWX";

fn code(length: usize) -> String {
    (0..length).map(|_| char::from(ALPHABET[fastrand::usize(..ALPHABET.len())])).collect()
}

/// Sends the same twenty guesses in turn.
async fn repeat_guesses(siege: &Siege, guess: impl Fn() -> Vec<u8>) {
    let guesses: Vec<u8> = (0..20).flat_map(|_| guess()).collect();
    repeat(siege, &guesses).await;
}

/// Guesses the short codes of tickets.
pub async fn ticket_codes(siege: &Siege) {
    let path = "POST /v1/ticket-links/exchange";
    let guess = || request(siege, path, &[], &json!({"code": code(10)}).to_string());
    repeat_guesses(siege, guess).await;
}

/// Begins pairings.
pub async fn pairings(siege: &Siege) {
    repeat(siege, &request(siege, "POST /v1/displays/pairings", &[], "{}")).await;
}

/// Approves pairings with guessed codes.
pub async fn pairing_codes(siege: &Siege) {
    let token = bearer(siege, "reception");
    let body = json!({"location": siege.node.location, "name": "Screen"}).to_string();
    let guess = || {
        let path = format!("POST /v1/displays/pairings/{}/approve", code(8));
        request(siege, &path, &[("authorization", &token)], &body)
    };
    repeat_guesses(siege, guess).await;
}

/// Asks for one-time tickets of streams.
pub async fn stream_tickets(siege: &Siege) {
    let token = bearer(siege, "reception");
    let body = json!({"channels": [format!("board:{}", siege.node.location)]}).to_string();
    let headers = [("authorization", &*token)];
    repeat(siege, &request(siege, "POST /v1/stream-tickets", &headers, &body)).await;
}

/// Opens streams with one-time tickets that nobody issued.
pub async fn forged_streams(siege: &Siege) {
    let channel = format!("board:{}", siege.node.location);
    let guess = || {
        let ticket = format!("{:032x}", fastrand::u128(..));
        request(siege, &format!("GET /v1/stream?ticket={ticket}&channel={channel}"), &[], "")
    };
    repeat_guesses(siege, guess).await;
}

/// Lists the own sessions.
pub async fn sessions(siege: &Siege) {
    let token = bearer(siege, "reception");
    let headers = [("authorization", &*token)];
    repeat(siege, &request(siege, "GET /v1/sessions", &headers, "")).await;
}
