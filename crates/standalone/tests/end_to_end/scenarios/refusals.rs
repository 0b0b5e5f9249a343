//! Bad input: each kind gets its documented code, and other clients are not affected.

use hyper::Method;
use serde_json::json;
use testing::{
    centrifugal::client::{JsonClient, Refusal},
    follower::ChannelFollower,
    http::ApiRequest,
    tokens::unix_seconds,
};

use crate::world::World;

pub async fn second_subscribe_is_an_error(world: &World) {
    let site = world.site().await;
    let channel = format!("board:{}", site.location);
    let mut board = ChannelFollower::start(world.here(), &site.display, &channel).await;
    assert_eq!(board.client.subscribe(&channel).await.map(drop), Err(Refusal::Error(105)));
    world.issue(&site, &site.general).await;
    let queue = format!("queue:{}", site.general);
    board.until("the ticket", |board| board.entry(&queue)["waiting"] == 1).await;
}

pub async fn forbidden_channel_stays_closed(world: &World) {
    let (site, elsewhere) = (world.site().await, world.site().await);
    let (mine, other) =
        (world.issue(&site, &site.general).await, world.issue(&site, &site.general).await);
    let patient = world.patient(&[&mine]);
    let (queue, board) = (format!("queue:{}", site.general), format!("board:{}", site.location));
    let table = [
        (&patient, format!("ticket:{}", other.ticket)),
        (&patient, queue.clone()),
        (&patient, board.clone()),
        (&site.display, queue.clone()),
        (&site.display, format!("ticket:{}", mine.ticket)),
        (&elsewhere.display, board.clone()),
        (&elsewhere.reception, queue.clone()),
        (&elsewhere.reception, format!("ticket:{}", mine.ticket)),
    ];
    for (token, channel) in table {
        let mut phone = JsonClient::connect(world.here(), token).await;
        assert_eq!(phone.subscribe(&channel).await.map(drop), Err(Refusal::Error(103)));
        let body = json!({"channels": [channel]});
        let answer = world
            .api
            .call(world.here(), ApiRequest::post("/v1/stream-tickets").token(token).json(body))
            .await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (403, Some("forbidden")));
    }
    let commands = [
        (&patient, format!("/v1/tickets/{}/call", mine.ticket), json!({"station": site.room_1})),
        (&patient, format!("/v1/tickets/{}/leave", other.ticket), json!({})),
        (&site.display, format!("/v1/queues/{}/tickets", site.general), json!({})),
        (&elsewhere.reception, format!("/v1/queues/{}/tickets", site.general), json!({})),
    ];
    for (token, path, body) in commands {
        let answer =
            world.api.settle(world.there(), ApiRequest::post(&path).token(token).json(body)).await;
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (403, Some("forbidden")),
            "{path}"
        );
    }
    for (token, path) in [
        (&patient, format!("/v1/queues/{}", site.general)),
        (&elsewhere.display, format!("/v1/boards/{}", site.location)),
    ] {
        let answer = world.api.call(world.here(), ApiRequest::get(&path).token(token)).await;
        assert_eq!(answer.status, 403, "{path}");
    }
}

pub async fn no_channel_crosses_tenants(world: &World) {
    let site = world.site().await;
    let issued = world.issue(&site, &site.general).await;
    let here =
        json!({"tenant": "another", "locations": [site.location], "tickets": [issued.ticket]});
    let stranger = world.token("reception", here.clone());
    let mut phone = JsonClient::connect(world.here(), &stranger).await;
    for channel in [
        format!("queue:{}", site.general),
        format!("board:{}", site.location),
        format!("ticket:{}", issued.ticket),
    ] {
        // The other tenant has no such location.
        let refusal = phone.subscribe(&channel).await.map(drop);
        assert_eq!(refusal, Err(Refusal::Error(102)), "{channel}");
    }
    let answer = world
        .api
        .call(
            world.here(),
            ApiRequest::get(&format!("/v1/queues/{}", site.general)).token(&stranger),
        )
        .await;
    assert_eq!(answer.status, 404);
    let path = format!("/v1/tickets/{}/leave", issued.ticket);
    let answer = world
        .api
        .settle(world.there(), ApiRequest::post(&path).token(&stranger).json(json!({})))
        .await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (422, Some("location_unknown")));
    let patient = world.token("patient", here);
    let mut phone = JsonClient::connect(world.here(), &patient).await;
    let refusal = phone.subscribe(&format!("ticket:{}", issued.ticket)).await.map(drop);
    assert_eq!(refusal, Err(Refusal::Error(102)));
}

pub async fn invalid_channel_name_is_unknown(world: &World) {
    let site = world.site().await;
    let mut phone = JsonClient::connect(world.here(), &site.admin).await;
    let long = format!("queue:{}.{}", site.location, "x".repeat(200));
    for name in [
        "",
        "run:1",
        "queue",
        "queue:NOT-AN-ID",
        "ticket:1",
        "board:a.b",
        "queue:no-such-place.x",
        &long,
    ] {
        assert_eq!(phone.subscribe(name).await.map(drop), Err(Refusal::Error(102)), "{name}");
    }
    // The socket stays open.
    assert!(phone.subscribe(&format!("board:{}", site.location)).await.is_ok());
}

pub async fn untrusted_token_is_refused(world: &World) {
    let good = world.token("admin", json!({}));
    let (head, _) = good.rsplit_once('.').unwrap();
    let table = [
        (String::new(), "token_missing"),
        ("nonsense".to_owned(), "token_invalid"),
        (format!("{head}.AAAA"), "token_invalid"),
        (world.token("admin", json!({"aud": "another-service"})), "token_wrong_audience"),
        (world.token("admin", json!({"iss": "another-issuer"})), "token_wrong_issuer"),
        (world.token("king", json!({})), "token_invalid"),
        (world.token("admin", json!({"tenant": "NOT A TENANT"})), "token_invalid"),
    ];
    for (token, code) in table {
        let mut phone = JsonClient::open(world.here()).await;
        assert_eq!(
            phone.command("connect", json!({"token": token})).await,
            Err(Refusal::Error(101)),
            "{code}"
        );
        assert_eq!(phone.closed().await, 3500, "{code}");
        let mut call = ApiRequest::get("/v1/queues/riverside.general");
        if !token.is_empty() {
            call = call.token(&token);
        }
        let answer = world.api.call(world.here(), call).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (401, Some(code)));
        assert!(
            token.is_empty() || !answer.text.contains(&token),
            "a problem never quotes a token"
        );
    }
}

/// The clock of the issuer is ahead of ours: the same token is good a while later.
pub async fn early_token_may_come_back(world: &World) {
    let early = world.token("admin", json!({"nbf": unix_seconds() + 600}));
    let mut phone = JsonClient::open(world.here()).await;
    let refused = phone.command("connect", json!({"token": early})).await;
    assert_eq!(refused, Err(Refusal::Error(101)));
    assert_eq!(phone.closed().await, 4001, "an SDK comes back");
    let mut phone = JsonClient::open(world.here()).await;
    assert!(
        phone.command("connect", json!({"token": world.token("admin", json!({}))})).await.is_ok()
    );
    let call = ApiRequest::get("/v1/queues/riverside.general").token(&early);
    let answer = world.api.call(world.here(), call).await;
    let code = answer.body["code"].as_str();
    assert_eq!((answer.status, code), (401, Some("token_not_yet_valid")));
}

pub async fn expired_token_asks_for_refresh(world: &World) {
    let site = world.site().await;
    let expired = world.token("admin", json!({"exp": unix_seconds() - 5}));
    let mut phone = JsonClient::open(world.here()).await;
    assert_eq!(phone.command("connect", json!({"token": expired})).await, Err(Refusal::Error(109)));
    assert_eq!(phone.closed().await, 3005, "an SDK comes back with a newer token");
    let answer = world
        .api
        .call(world.here(), ApiRequest::get("/v1/queues/riverside.general").token(&expired))
        .await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (401, Some("token_expired")));
    // A refresh in time: a token of the same subject continues, one of another subject closes the
    // socket.
    let mut phone = JsonClient::connect(world.here(), &site.admin).await;
    let reply =
        phone.command("refresh", json!({"token": world.token("admin", json!({}))})).await.unwrap();
    assert!(reply["ttl"].as_u64().is_some_and(|ttl| ttl > 3000), "{reply}");
    assert!(phone.subscribe(&format!("board:{}", site.location)).await.is_ok());
    let other = world.token("admin", json!({"sub": "somebody-else"}));
    phone.send_text(json!({"id": 99, "refresh": {"token": other}}).to_string()).await;
    assert_eq!(phone.closed().await, 3500);
    // An SDK would end for good if the reply were an error.
    let mut phone = JsonClient::connect(world.here(), &site.admin).await;
    phone.send_text(json!({"id": 99, "refresh": {"token": expired}}).to_string()).await;
    assert_eq!(phone.closed().await, 3005);
}

pub async fn oversized_frame_closes_only_its_sender(world: &World) {
    let site = world.site().await;
    let mut neighbour =
        ChannelFollower::start(world.here(), &site.display, &format!("board:{}", site.location))
            .await;
    let mut phone = JsonClient::connect(world.here(), &site.admin).await;
    phone
        .send_text(json!({"id": 9, "subscribe": {"channel": "x".repeat(100_000)}}).to_string())
        .await;
    assert_eq!(phone.closed().await, 4500);
    world.issue(&site, &site.general).await;
    let queue = format!("queue:{}", site.general);
    neighbour.until("the ticket", |board| board.entry(&queue)["waiting"] == 1).await;
}

pub async fn invalid_command_closes_socket(world: &World) {
    let site = world.site().await;
    for words in
        ["hello", "{\"id\":", "[]", "{\"id\":7,\"subscribe\":7}", "{\"id\":-1,\"ping\":{}}"]
    {
        let mut phone = JsonClient::connect(world.here(), &site.admin).await;
        phone.send_text(words.to_owned()).await;
        assert_eq!(phone.closed().await, 3501, "{words}");
    }
    // A client whose first command is not connect.
    let mut phone = JsonClient::open(world.here()).await;
    phone
        .send_text(json!({"id": 1, "subscribe": {"channel": "board:riverside"}}).to_string())
        .await;
    assert_eq!(phone.closed().await, 3501);
    // A protocol method that is not offered is an error reply, not a close.
    let mut phone = JsonClient::connect(world.here(), &site.admin).await;
    assert_eq!(
        phone.command("publish", json!({"channel": "x", "data": {}})).await,
        Err(Refusal::Error(108))
    );
    assert!(phone.subscribe(&format!("board:{}", site.location)).await.is_ok());
}

pub async fn foreign_origin_cannot_connect(world: &World) {
    assert_eq!(
        JsonClient::open_from(world.here(), Some("https://evil.example")).await.map(drop),
        Err(403)
    );
    // Pages of this host, and clients that are not browsers.
    assert_eq!(JsonClient::open_from(world.here(), Some(world.here())).await.map(drop), Ok(()));
    assert_eq!(JsonClient::open_from(world.here(), None).await.map(drop), Ok(()));
}

pub async fn unreadable_request_gets_a_problem(world: &World) {
    let site = world.site().await;
    let tickets = format!("/v1/queues/{}/tickets", site.general);
    let post = |path: &str| ApiRequest::post(path).token(&site.admin);
    let table = [
        (post("/v1/queues/NO-ID/tickets").json(json!({})), 400, "invalid_id"),
        (post("/v1/tickets/riverside.7/start").json(json!({})), 400, "invalid_id"),
        (
            post(&tickets).header("content-type", "application/json").text("{\"priority\":"),
            400,
            "malformed",
        ),
        (post(&tickets).json(json!({})).key("no spaces allowed"), 400, "invalid_id"),
        (post(&tickets).json(json!({})).header("valid-until", "soon"), 422, "invalid_value"),
        (post(&format!("/v1/queues/{}/dance", site.general)).json(json!({})), 404, "not_found"),
        (ApiRequest::get("/v1/nothing").token(&site.admin), 404, "not_found"),
        (ApiRequest::get("/v1/queues/no-such-place.x").token(&site.admin), 404, "not_found"),
        (ApiRequest::get("/v1/commands/never-sent").token(&site.admin), 404, "not_found"),
    ];
    for (index, (call, status, code)) in table.into_iter().enumerate() {
        let answer = world.api.call(world.here(), call).await;
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (status, Some(code)),
            "row {index}: {}",
            answer.text
        );
        assert_eq!(answer.headers["content-type"], "application/problem+json", "row {index}");
    }
    let large = json!({"tickets": vec!["x".repeat(1000); 2000]});
    let path = format!("/v1/queues/{}/reorder", site.general);
    let answer = world
        .api
        .try_call(world.here(), ApiRequest::post(&path).token(&site.admin).json(large))
        .await;
    // A server may cut off a client that keeps sending after the refusal.
    assert!(answer.is_none_or(|answer| answer.status == 413));
    assert_eq!(world.issue(&site, &site.general).await.label, "A-001");
}

pub async fn health_and_metrics_hold_no_patient_data(world: &World) {
    let site = world.site().await;
    let issued = world.issue(&site, &site.general).await;
    let token = world.patient(&[&issued]);
    let _phone =
        ChannelFollower::start(world.here(), &token, &format!("ticket:{}", issued.ticket)).await;
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(
            world.api.call(world.here(), ApiRequest::new(Method::GET, path)).await.status,
            200,
            "{path}"
        );
    }
    let metrics = world.api.call(world.here(), ApiRequest::get("/metrics")).await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text.contains("clinicwire_"), "{}", metrics.text);
    for secret in [&issued.ticket, &issued.label, &token, &site.location] {
        assert!(!metrics.text.contains(secret.as_str()), "metrics name nobody");
    }
}
