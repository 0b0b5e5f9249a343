//! What the scenarios act on: one or two gateway nodes with a development key, and clients of every kind. Each
//! scenario gets a location of its own, so that any number of them share the nodes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::Method;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    api::{Api, Call},
    scenarios::eventually,
};

/// What a test waits for anything: reached only when it will never come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The nodes, and the words of the key they trust.
pub struct World {
    pub nodes: Vec<String>,
    pub secret: String,
    pub api: Api,
}

/// A location made for one scenario: two open queues, two stations, and a token per role.
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

/// What an issued ticket is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    pub ticket: String,
    pub label: String,
}

impl World {
    pub fn new(nodes: Vec<String>, secret: &str) -> Self {
        Self { nodes, secret: secret.to_owned(), api: Api::default() }
    }

    /// Waits until every node serves.
    pub async fn ready(&self) {
        for node in &self.nodes {
            eventually("the node is ready", || async {
                let answer = self.api.try_call(node, Call::get("/health/ready")).await?;
                (answer.status == 200).then_some(())
            })
            .await;
        }
    }

    /// The node that clients listen to.
    pub fn here(&self) -> &str {
        &self.nodes[0]
    }

    /// The node that commands are sent to: another one where there are two.
    pub fn there(&self) -> &str {
        self.nodes.last().expect("at least one node")
    }

    /// Signs any claims, as an issuer with the development key would; `claims` override the usual ones.
    pub fn token(&self, role: &str, claims: Value) -> String {
        let mut body = json!({
            "iss": "clinicwire-development",
            "aud": "clinicwire",
            "sub": format!("somebody-{role}"),
            "exp": seconds() + 3600,
            "nbf": seconds() - 60,
            "tenant": "demo",
            "role": role,
        });
        for (name, claim) in claims.as_object().expect("claims are an object") {
            body[name] = claim.clone();
        }
        let key = Sha256::digest(self.secret.as_bytes());
        let key = Sha256::new().chain_update(key).chain_update("token").finalize();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("insecure-development-key".into());
        jsonwebtoken::encode(&header, &body, &EncodingKey::from_secret(&key)).unwrap()
    }

    /// The token of a patient who holds these tickets.
    pub fn patient(&self, tickets: &[&Issued]) -> String {
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

    /// Runs a command that must be applied; answers its outcome.
    pub async fn apply(&self, token: &str, method: Method, path: String, body: Value) -> Value {
        let answer =
            self.api.settle(self.there(), Call::new(method, &path).token(token).json(body)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.body["outcome"], "applied", "{path}: {}", answer.body);
        answer.body
    }

    /// A move of a ticket or queue by the reception; answers the version it led to.
    pub async fn moves(&self, site: &Site, path: String, body: Value) -> u64 {
        let outcome = self.apply(&site.reception, Method::POST, path, body).await;
        outcome["version"].as_u64().expect("an outcome has its version")
    }

    pub async fn ticket(&self, site: &Site, ticket: &Issued, verb: &str) -> u64 {
        self.moves(site, format!("/v1/tickets/{}/{verb}", ticket.ticket), json!({})).await
    }

    pub async fn issue(&self, site: &Site, queue: &str) -> Issued {
        let outcome = self
            .apply(&site.reception, Method::POST, format!("/v1/queues/{queue}/tickets"), json!({}))
            .await;
        issued(&outcome)
    }

    /// Calls the first in line; answers who that is.
    pub async fn call_next(&self, site: &Site, queue: &str, station: &str) -> Issued {
        let path = format!("/v1/queues/{queue}/call-next");
        issued(&self.apply(&site.reception, Method::POST, path, json!({"station": station})).await)
    }

    /// A snapshot by HTTP.
    pub async fn read(&self, token: &str, path: String) -> Value {
        let answer = self.api.call(self.here(), Call::new(Method::GET, &path).token(token)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }
}

pub fn issued(outcome: &Value) -> Issued {
    let text =
        |name: &str| outcome["result"][name].as_str().expect("the result names it").to_owned();
    Issued { ticket: text("ticket"), label: text("label") }
}

/// Unix time.
pub fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Bounds a wait by [`PATIENCE`].
pub async fn patiently<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
