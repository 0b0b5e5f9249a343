//! The real server in this process, with one location for the swarm.

use std::{sync::Arc, time::Duration};

use claims::tables::Tables;
use gateway::{access::auth::DevelopmentKey, limits::settings::LimitSettings};
use serde_json::{Value, json};
use standalone::one_process::{OneProcess, Settings};
use testing::{
    http::{ApiClient, ApiRequest},
    tokens::DevelopmentIssuer,
};

use crate::{proxy::Proxy, swarm};

const LOCATION: &str = "riverside";
const WORDS: &str = "words of the swarm's tests";

/// A server that is stopped at the end.
pub(crate) struct Clinic {
    server: OneProcess,
    reception: String,
    admin: String,
}

impl Clinic {
    pub(crate) async fn start() -> Self {
        let server = OneProcess::start(Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            tls: None,
            shards: 2,
            key: DevelopmentKey::from_words(WORDS),
            drain: Duration::ZERO,
            tables: Arc::new(Tables::empty()),
            limits: LimitSettings::off(),
            push_services: schemas::push::PushServices::default(),
            webhook_networks: Vec::new(),
        });
        let issuer = DevelopmentIssuer::from_words(WORDS, 3600);
        let here = json!({"locations": [LOCATION]});
        let (reception, admin) = (issuer.sign("reception", &here), issuer.sign("admin", &here));
        let clinic = Self { server: server.unwrap(), reception, admin };
        let body = json!({"name": "Swarm", "time_zone": "America/Toronto", "languages": ["fr"]});
        let path = format!("/v1/locations/{LOCATION}");
        let create = ApiRequest::new(hyper::Method::PUT, &path).token(&clinic.admin).json(body);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        let api = ApiClient::new(Duration::from_secs(30));
        let answer = api.settle(&clinic.url(), create, deadline).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        clinic
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Runs the swarm against the server itself.
    pub(crate) async fn judge(&self, args: &[&str]) -> (i32, Value) {
        self.judge_at(&self.url(), args).await
    }

    /// Runs the swarm against a proxy in front of the server.
    pub(crate) async fn judge_through(&self, proxy: Proxy, args: &[&str]) -> (i32, Value) {
        let url = proxy.serve(&self.server.address().to_string()).await;
        self.judge_at(&url, args).await
    }

    async fn judge_at(&self, url: &str, args: &[&str]) -> (i32, Value) {
        let target =
            ["--url", url, "--url", url, "--token", &self.reception, "--admin-token", &self.admin];
        swarm(&[&target[..], &["--location", LOCATION], args].concat()).await
    }

    pub(crate) async fn stop(self) {
        self.server.shut_down().await;
    }
}
