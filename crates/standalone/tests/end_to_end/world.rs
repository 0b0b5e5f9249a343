//! The installation that scenarios act on: one or two gateway nodes with a development key. Each
//! scenario has its own location, so any number of scenarios share the nodes.

use hyper::Method;
use serde_json::{Value, json};
use testing::{http::ApiRequest, patience::eventually, tokens::DevelopmentIssuer};

use crate::api::Api;

/// Seconds for which tokens are valid: longer than any test.
const TOKEN_VALID_S: u64 = 3600;

/// The nodes, the issuer that they trust, and a client.
pub struct World {
    pub nodes: Vec<String>,
    issuer: DevelopmentIssuer,
    pub api: Api,
}

/// A location of one scenario: two open queues, two stations, and a token for each role.
pub struct Site {
    pub location: String,
    pub general: String,
    pub lab: String,
    pub room_1: String,
    pub room_2: String,
    pub admin: String,
    pub reception: String,
    pub display: String,
}

/// The names of an issued ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedTicket {
    pub ticket: String,
    pub label: String,
}

impl World {
    pub fn new(nodes: Vec<String>, secret: &str) -> Self {
        let issuer = DevelopmentIssuer::from_words(secret, TOKEN_VALID_S);
        Self { nodes, issuer, api: Api::default() }
    }

    /// Waits until every node is ready.
    pub async fn ready(&self) {
        for node in &self.nodes {
            eventually("the node is ready", || async {
                let answer = self.api.try_call(node, ApiRequest::get("/health/ready")).await?;
                (answer.status == 200).then_some(())
            })
            .await;
        }
    }

    /// The node that clients subscribe at.
    pub fn here(&self) -> &str {
        &self.nodes[0]
    }

    /// The node that receives commands: another one where there are two.
    pub fn there(&self) -> &str {
        self.nodes.last().expect("at least one node")
    }

    /// Signs a token with the development key of the nodes. `claims` replaces and adds claims.
    pub fn token(&self, role: &str, claims: Value) -> String {
        self.issuer.sign(role, &claims)
    }

    /// The token of a patient who holds these tickets.
    pub fn patient(&self, tickets: &[&IssuedTicket]) -> String {
        let tickets: Vec<_> = tickets.iter().map(|issued| &issued.ticket).collect();
        self.token("patient", json!({"tickets": tickets}))
    }

    /// A new location, configured and open.
    pub async fn site(&self) -> Site {
        let location = format!("l-{:012x}", fastrand::u64(..1 << 48));
        let here = json!({"locations": [location]});
        let site = Site {
            general: format!("{location}.general"),
            lab: format!("{location}.lab"),
            room_1: format!("{location}.room-1"),
            room_2: format!("{location}.room-2"),
            admin: self.token("admin", json!({})),
            reception: self.token("reception", here.clone()),
            display: self.token("display", here),
            location,
        };
        let put = |path: String, body: Value| self.apply(&site.admin, Method::PUT, path, body);
        put(
            format!("/v1/locations/{}", site.location),
            json!({"name": "Testing", "time_zone": "America/Toronto", "languages": ["fr", "en"]}),
        )
        .await;
        for (queue, name, prefix) in [(&site.general, "General", "A"), (&site.lab, "Lab", "B")] {
            put(format!("/v1/queues/{queue}"), json!({"name": name, "prefix": prefix})).await;
            self.apply(&site.admin, Method::POST, format!("/v1/queues/{queue}/open"), json!({}))
                .await;
        }
        for (station, name) in [(&site.room_1, "Room 1"), (&site.room_2, "Room 2")] {
            put(format!("/v1/stations/{station}"), json!({"name": name})).await;
        }
        site
    }

    /// Runs a command that must be applied, and returns its outcome.
    pub async fn apply(&self, token: &str, method: Method, path: String, body: Value) -> Value {
        let answer = self
            .api
            .settle(self.there(), ApiRequest::new(method, &path).token(token).json(body))
            .await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.body["outcome"], "applied", "{path}: {}", answer.body);
        answer.body
    }

    /// Runs a command of the reception, and returns the version of its outcome.
    pub async fn moves(&self, site: &Site, path: String, body: Value) -> u64 {
        let outcome = self.apply(&site.reception, Method::POST, path, body).await;
        outcome["version"].as_u64().expect("an outcome has its version")
    }

    pub async fn ticket(&self, site: &Site, ticket: &IssuedTicket, verb: &str) -> u64 {
        self.moves(site, format!("/v1/tickets/{}/{verb}", ticket.ticket), json!({})).await
    }

    pub async fn issue(&self, site: &Site, queue: &str) -> IssuedTicket {
        let outcome = self
            .apply(&site.reception, Method::POST, format!("/v1/queues/{queue}/tickets"), json!({}))
            .await;
        issued(&outcome)
    }

    /// Calls the first ticket in line and returns it. A patient who is still called to the station
    /// counts as absent.
    pub async fn call_next(&self, site: &Site, queue: &str, station: &str) -> IssuedTicket {
        let path = format!("/v1/queues/{queue}/call-next");
        let body = json!({"station": station, "force": true});
        issued(&self.apply(&site.reception, Method::POST, path, body).await)
    }

    /// Reads a snapshot over HTTP.
    pub async fn read(&self, token: &str, path: String) -> Value {
        let answer =
            self.api.call(self.here(), ApiRequest::new(Method::GET, &path).token(token)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }
}

pub fn issued(outcome: &Value) -> IssuedTicket {
    let text =
        |name: &str| outcome["result"][name].as_str().expect("the result names it").to_owned();
    IssuedTicket { ticket: text("ticket"), label: text("label") }
}
