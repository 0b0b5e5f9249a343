//! A clerk of a separate tenant: generated files, and the requests that a page makes.

use hyper::Method;
use schemas::finding::Finding;
use serde_json::{Value, json};
use testing::claims_files::ClaimsFile;
use testing::{
    http::{ApiRequest, ApiResponse},
    patience::eventually,
};

use crate::world::World;

pub struct Clerk<'a> {
    pub world: &'a World,
    pub tenant: String,
    pub editor: String,
    pub viewer: String,
    pub admin: String,
}

/// Generates an export. The same seed gives the same file.
pub fn export(rows: u64, seed: u64) -> ClaimsFile {
    ClaimsFile::with_violations(rows, seed, 0.05).expect("a valid rate")
}

impl<'a> Clerk<'a> {
    /// A clerk whose tenant has all rules that files are generated for.
    pub async fn with_all_rules(world: &'a World) -> Self {
        let clerk = Self::new(world);
        for rule in testing::claims_files::rules::planted() {
            clerk.put_rule(&json!(rule)).await;
        }
        clerk
    }

    /// A clerk whose tenant has stored no rule.
    pub fn new(world: &'a World) -> Self {
        let tenant = format!("t-{:012x}", fastrand::u64(..1 << 48));
        let token = |role: &str| world.token(role, json!({"tenant": tenant}));
        let (editor, viewer, admin) = (token("editor"), token("viewer"), token("admin"));
        Self { world, tenant, editor, viewer, admin }
    }

    pub async fn put_rule(&self, rule: &Value) {
        let mut body = rule.clone();
        let id = body.as_object_mut().and_then(|rule| rule.remove("id")).expect("a rule has an id");
        let path = format!("/v1/rules/{}", id.as_str().expect("an id is text"));
        self.world.apply(&self.admin, Method::PUT, path, body).await;
    }

    /// Uploads a file and returns its id.
    pub async fn upload(&self, bytes: &[u8]) -> String {
        let call = ApiRequest::post("/v1/files?name=mars.csv")
            .token(&self.editor)
            .header("content-type", "text/csv")
            .bytes(bytes.to_vec());
        let answer = self.world.api.call(self.world.there(), call).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        assert_eq!(answer.body["bytes"], bytes.len());
        answer.body["file"].as_str().expect("an id is text").to_owned()
    }

    pub async fn request(&self, body: Value, key: Option<&str>) -> ApiResponse {
        let mut call = ApiRequest::post("/v1/runs").token(&self.editor).json(body);
        if let Some(key) = key {
            call = call.key(key);
        }
        self.world.api.call(self.world.there(), call).await
    }

    /// Requests a check of the file, and returns the id of the run once it can be read.
    pub async fn check(&self, bytes: &[u8]) -> String {
        let file = self.upload(bytes).await;
        let answer = self.request(json!({"file": file}), None).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        let run = answer.body["run"].as_str().expect("an id is text").to_owned();
        assert_eq!(answer.headers["location"], format!("/v1/runs/{run}"));
        eventually("the run can be read", || async {
            let answer = self.get(&self.viewer, &format!("/v1/runs/{run}")).await;
            (answer.status == 200).then_some(())
        })
        .await;
        run
    }

    pub async fn get(&self, token: &str, path: &str) -> ApiResponse {
        self.world.api.call(self.world.here(), ApiRequest::get(path).token(token)).await
    }

    /// Waits until `done` accepts the run's head, and returns it.
    pub async fn head(&self, run: &str, done: impl Fn(&Value) -> bool) -> Value {
        let done = &done;
        eventually("the run reaches the state", || async {
            let answer = self.get(&self.viewer, &format!("/v1/runs/{run}")).await;
            let head = answer.body["entries"]["run"].clone();
            done(&head).then_some(head)
        })
        .await
    }

    /// Every finding of the run, read page by page.
    pub async fn findings(&self, run: &str, query: &str) -> Vec<Finding> {
        let (mut findings, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/runs/{run}/findings?limit=500{query}{cursor}");
            let answer = self.get(&self.viewer, &path).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let page: Vec<Finding> =
                serde_json::from_value(answer.body["findings"].clone()).unwrap();
            findings.extend(page);
            match answer.body["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return findings,
            }
        }
    }
}

/// Whether a run has ended.
pub fn is_over(head: &Value) -> bool {
    matches!(head["state"].as_str(), Some("completed" | "failed" | "cancelled"))
}
