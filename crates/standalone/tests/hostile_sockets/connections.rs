//! Too many connections of an address, a subject, a tenant or a node.

use std::pin::pin;

use futures_util::future::{Either, select};
use serde_json::{Value, json};
use testing::{
    http::{ApiClient, ApiRequest},
    patience::{eventually, patiently},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::clinic::Clinic;

const TRY_AGAIN: u16 = 4001;

/// Connections that were admitted, and stay open after their request.
async fn idle_connections(clinic: &Clinic, count: usize) -> Vec<TcpStream> {
    let request = "GET /v1/boards/riverside HTTP/1.1\r\nhost: here\r\n\r\n";
    admitted(clinic, count, request, "401").await
}

/// Connections whose first request has that status.
async fn admitted(clinic: &Clinic, count: usize, request: &str, status: &str) -> Vec<TcpStream> {
    let expected = format!("HTTP/1.1 {status}");
    let mut idle = Vec::new();
    while idle.len() < count {
        // The connections with which the clinic was furnished may not be closed yet.
        let admitted = eventually("an admitted connection", || async {
            let mut socket = clinic.dial().await;
            socket.write_all(request.as_bytes()).await.ok()?;
            let mut answer = [0; 12];
            socket.read_exact(&mut answer).await.ok()?;
            (answer == expected.as_bytes()).then_some(socket)
        });
        idle.push(admitted.await);
    }
    idle
}

fn assert_refused(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert!(answer.contains("\"code\":\"too_many_connections\""), "{answer}");
    let seconds = answer.lines().find_map(|line| line.strip_prefix("retry-after: "));
    assert!((5..=10).contains(&seconds.unwrap().parse::<u32>().unwrap()), "{answer}");
}

#[tokio::test]
async fn full_address_is_refused_but_may_ask_for_health() {
    for limit in ["connections-address=3", "connections=3"] {
        let clinic = Clinic::start_with(&[limit]).await;
        let idle = idle_connections(&clinic, 3).await;
        for path in ["/v1/boards/riverside", "/connection/websocket", "/", "/socket.io/?EIO=4"] {
            assert_refused(&clinic.get(path).await);
        }
        let stream = clinic.get("/v1/stream?channel=board:riverside&ticket=x").await;
        assert!(stream.starts_with("HTTP/1.1 200") && stream.contains("too_many_connections"));
        clinic.assert_neighbour_is_served().await;
        drop(idle);
        eventually("the places are free", || async {
            clinic.get("/v1/boards/riverside").await.starts_with("HTTP/1.1 401").then_some(())
        })
        .await;
        clinic.stop().await;
    }
}

#[tokio::test]
async fn websockets_of_socketio_count_for_their_address() {
    let clinic = Clinic::start_with(&["connections-address=3"]).await;
    let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: here\r\n\
        connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let sockets = admitted(&clinic, 3, request, "101").await;
    assert_refused(&clinic.get("/v1/boards/riverside").await);
    drop(sockets);
    eventually("the places are free", || async {
        clinic.get("/v1/boards/riverside").await.starts_with("HTTP/1.1 401").then_some(())
    })
    .await;
    clinic.stop().await;
}

#[tokio::test]
async fn refused_connections_are_few_and_short() {
    let clinic = Clinic::start_with(&["connections-address=1", "refused-address=2"]).await;
    let _idle = idle_connections(&clinic, 1).await;
    let mut refused = [clinic.dial().await, clinic.dial().await];
    let surplus = clinic.get("/health/live").await;
    assert_eq!(surplus, "", "a further one is closed without an answer");
    let mut answer = Vec::new();
    patiently("the end of an idle connection", refused[0].read_to_end(&mut answer)).await.unwrap();
    clinic.stop().await;
}

#[tokio::test]
async fn full_subject_and_tenant_come_back_later() {
    for limit in ["connections-subject=2", "connections-tenant=2"] {
        let clinic = Clinic::start_with(&[limit]).await;
        let (first, _second) = (clinic.connect().await, clinic.connect().await);
        let token = clinic.token("reception", &json!({}));
        let mut third = clinic.open().await;
        let reply = third.connect(&token).await.unwrap();
        let error = &reply["error"];
        assert_eq!((&error["code"], &error["temporary"]), (&json!(111), &json!(true)), "{limit}");
        assert_eq!(third.closed().await, TRY_AGAIN);
        let other = clinic.token("reception", &json!({"sub": "other", "tenant": "other"}));
        assert!(clinic.open().await.connect(&other).await.unwrap()["connect"].is_object());
        drop(first);
        eventually("a place is free", || async {
            let reply = clinic.open().await.connect(&token).await.unwrap();
            reply["connect"].is_object().then_some(())
        })
        .await;
        clinic.stop().await;
    }
}

#[tokio::test]
async fn streams_count_for_their_subject() {
    let clinic = Clinic::start_with(&["connections-subject=1"]).await;
    let token = clinic.token("reception", &json!({}));
    let _socket = clinic.connect().await;
    let api = ApiClient::new(std::time::Duration::from_secs(30));
    let tickets = ApiRequest::post("/v1/stream-tickets").token(&token);
    let tickets = tickets.json(json!({"channels": ["board:riverside"]}));
    let answer: Value = api.send(&clinic.url(), tickets).await.unwrap().parse().unwrap();
    let ticket = answer["ticket"].as_str().unwrap();
    let stream = clinic.get(&format!("/v1/stream?channel=board:riverside&ticket={ticket}")).await;
    assert!(stream.contains("too_many_connections"), "{stream}");
    clinic.stop().await;
}

#[tokio::test]
async fn crowd_waits_its_turn_and_another_address_does_not() {
    const ASK: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: here\r\n\r\n";
    let clinic = Clinic::start_with(&["openings=50/1"]).await;
    let served = async |socket: &mut TcpStream| {
        let mut answer = [0; 12];
        patiently("an answer", socket.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    };
    let mut crowd = Vec::new();
    for _ in 0..200 {
        let mut socket = clinic.dial().await;
        socket.write_all(ASK).await.unwrap();
        crowd.push(socket);
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 77], 0).into()).unwrap();
    let mut other = socket.connect(clinic.address()).await.unwrap();
    other.write_all(ASK).await.unwrap();
    // The last of the crowd has its turn after more than two seconds.
    let (last, others) = crowd.split_last_mut().unwrap();
    match select(pin!(served(&mut other)), pin!(served(last))).await {
        Either::Left(((), rest)) => rest.await,
        Either::Right(_) => panic!("another address waits for the crowd"),
    }
    for socket in others {
        served(socket).await;
    }
    clinic.stop().await;
}
