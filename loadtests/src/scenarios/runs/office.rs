//! The clerks' side: uploads files, requests runs, follows them, and reads their findings.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use hyper::{Method, body::Bytes};
use schemas::{
    finding::Finding,
    language::Language,
    rule::{Rule, StoredRule},
};
use serde::Deserialize;
use serde_json::json;
use testing::claims_files::rules;
use tokio::{
    sync::{Semaphore, oneshot, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::verdict::RuleBook;
use crate::{
    breach::Breach,
    client::{SharedState, SwarmClient, Transport, follow::follow, now_us},
    crowd::CrowdArgs,
    http::{Api, CommandFailure},
    payloads::Entries,
    target::{Node, Tenants, clerks::Clerks},
    watch::{ChannelKind, ClientWatch, history::RunHistory},
};

/// The maximum size of a page of findings.
const PAGE: usize = 500;

/// The clerks of all tenants with their clients.
pub struct Office {
    pub api: Arc<Api>,
    nodes: Vec<Arc<Node>>,
    pub clerks: Vec<Clerks>,
    /// The shared state of each tenant's editors.
    editors: Vec<Arc<SharedState>>,
    crowd: CrowdArgs,
}

/// An uploaded file and the run that is requested for it.
#[derive(Clone)]
pub struct RunRequest {
    /// The place in the order of requests.
    pub index: usize,
    pub tenant: usize,
    /// The index of the generated file.
    pub content: usize,
    pub file: String,
    pub list_passes: bool,
}

/// An accepted run and its follower.
pub struct Run {
    pub request: RunRequest,
    pub run: String,
    pub asked_us: i64,
    pub accepted_us: i64,
    pub follower: Arc<SwarmClient>,
    task: JoinHandle<()>,
}

/// The snapshot of a run.
#[derive(Deserialize)]
struct RunSnapshot {
    entries: Entries,
}

impl Office {
    #[must_use]
    pub fn new(tenants: Tenants, crowd: &CrowdArgs) -> Self {
        let api = Arc::new(Api::new(Duration::from_secs(crowd.command_deadline)));
        let Tenants { nodes, clerks } = tenants;
        let editors = clerks.iter().map(|clerks| hub(crowd, &clerks.editor)).collect();
        Self { api, nodes, clerks, editors, crowd: crowd.clone() }
    }

    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    fn node(&self, turn: usize) -> Arc<Node> {
        self.nodes[turn % self.nodes.len()].clone()
    }

    /// Stores the rules that files are generated for.
    ///
    /// # Errors
    /// When a rule is refused.
    pub async fn store_rules(&self, tenant: usize) -> Result<()> {
        for rule in rules::planted() {
            let path = format!("/v1/rules/{}", rule.id);
            let mut body = serde_json::to_value(&rule).context("write a rule")?;
            body.as_object_mut().and_then(|fields| fields.remove("id"));
            let admin = &self.clerks[tenant].admin;
            let stored = self.api.command(&self.node(0), admin, Method::PUT, &path, body).await;
            stored.with_context(|| format!("store the rule {}", rule.id))?;
        }
        Ok(())
    }

    /// Reads the rules of a tenant.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn rules(&self, tenant: usize) -> Result<RuleBook> {
        #[derive(Deserialize)]
        struct StoredRules {
            rules: Vec<StoredRule>,
        }
        let editor = &self.clerks[tenant].editor;
        let stored = self.api.read_in_time::<StoredRules>(&self.node(0), editor, "/v1/rules").await;
        let rules = stored.context("read the rules")?.rules.into_iter().map(|stored| stored.rule);
        Ok(RuleBook::new(&rules.collect::<Vec<Rule>>()))
    }

    /// Uploads a file, and returns its id and the duration in milliseconds.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn upload(&self, turn: usize, tenant: usize, bytes: Bytes) -> Result<(String, f64)> {
        #[derive(Deserialize)]
        struct UploadedFile {
            file: String,
            bytes: u64,
        }
        let (began, sent) = (Instant::now(), bytes.len() as u64);
        let path = format!("/v1/files?name=swarm-{turn}.csv");
        let editor = &self.clerks[tenant].editor;
        let uploaded = self
            .api
            .post::<UploadedFile>(&self.node(turn), editor, &path, ("text/csv", bytes))
            .await;
        let uploaded = uploaded.context("upload a file")?;
        anyhow::ensure!(uploaded.bytes == sent, "{} of {sent} bytes were uploaded", uploaded.bytes);
        Ok((uploaded.file, began.elapsed().as_secs_f64() * 1e3))
    }

    /// Requests a run, follows it at the next node from its 202 on, and waits for its end.
    ///
    /// # Errors
    /// When it is not accepted.
    pub async fn run(
        &self,
        request: RunRequest,
        within: Duration,
        accepted: impl FnOnce(&str),
    ) -> Result<Run, CommandFailure> {
        #[derive(Deserialize)]
        struct AcceptedRun {
            run: String,
        }
        let (index, editor) = (request.index, &self.clerks[request.tenant].editor);
        let body = json!({"file": request.file, "list_passes": request.list_passes}).to_string();
        let asked_us = now_us();
        let body = ("application/json", Bytes::from(body));
        let AcceptedRun { run } =
            self.api.post(&self.node(index), editor, "/v1/runs", body).await?;
        let accepted_us = now_us();
        let (over, ended) = oneshot::channel();
        let mut watch = ClientWatch::new(index, ChannelKind::Keyed);
        watch.entries = Some(Entries::new());
        watch.history = Some(Box::new(RunHistory::new(over)));
        let (follower, mut task) = self.follow(&self.editors[request.tenant], &run, watch, index);
        accepted(&run);
        let seen = tokio::select! {
            seen = timeout(within, ended) => matches!(seen, Ok(Ok(()))),
            // The follower was turned away, and has noted that.
            _ = &mut task => false,
        };
        if !seen {
            follower.watch().note(Breach::NeverArrived, "the end of the run was not seen");
        }
        Ok(Run { request, run, asked_us, accepted_us, follower, task })
    }

    /// The shared state of a tenant's viewers.
    #[must_use]
    pub fn viewers(&self, tenant: usize) -> Arc<SharedState> {
        hub(&self.crowd, &self.clerks[tenant].viewer)
    }

    /// Follows a run until the task is aborted or the connection ends for good.
    pub fn follow(
        &self,
        hub: &Arc<SharedState>,
        run: &str,
        watch: ClientWatch,
        client: usize,
    ) -> (Arc<SwarmClient>, JoinHandle<()>) {
        let node = self.node(client + 1);
        let source = self.crowd.source(&node, client);
        let channel = format!("run:{run}");
        let follower = Arc::new(SwarmClient::new(node, source, channel, Transport::Ws, watch));
        let task = tokio::spawn(follow(follower.clone(), hub.clone()));
        (follower, task)
    }

    /// Reads the snapshot of a run.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn view(&self, run: &Run) -> Result<Entries> {
        let RunRequest { index, tenant, .. } = run.request;
        let path = format!("/v1/runs/{}", run.run);
        let snapshot =
            self.api.read_in_time(&self.node(index), &self.clerks[tenant].editor, &path).await;
        snapshot.map(|snapshot: RunSnapshot| snapshot.entries).context("read a run")
    }

    /// Reads all findings of a run page by page. Also counts the findings whose message is not that
    /// of their outcome.
    ///
    /// # Errors
    /// When a page cannot be read.
    pub async fn findings(&self, run: &Run) -> Result<(Vec<Finding>, usize)> {
        #[derive(Deserialize)]
        struct ListedFinding {
            #[serde(flatten)]
            finding: Finding,
            message: String,
        }
        #[derive(Deserialize)]
        struct Page {
            findings: Vec<ListedFinding>,
            next: Option<String>,
        }
        let RunRequest { index, tenant, .. } = run.request;
        let first = format!("/v1/runs/{}/findings?language=en&limit={PAGE}", run.run);
        let (mut path, mut findings, mut strange) = (first.clone(), Vec::new(), 0);
        loop {
            let page = self
                .api
                .read_in_time::<Page>(&self.node(index), &self.clerks[tenant].editor, &path)
                .await;
            let page = page.context("read findings")?;
            for ListedFinding { finding, message } in page.findings {
                strange += usize::from(finding.message(Language::English) != message);
                findings.push(finding);
            }
            match page.next {
                Some(next) => path = format!("{first}&cursor={next}"),
                None => return Ok((findings, strange)),
            }
        }
    }
}

/// The shared state of clients with this token.
fn hub(crowd: &CrowdArgs, token: &str) -> Arc<SharedState> {
    Arc::new(SharedState {
        api: Api::new(Duration::from_secs(crowd.command_deadline)),
        token: token.to_owned(),
        gate: Arc::new(Semaphore::new(crowd.connecting)),
        go: watch::Sender::new(true),
    })
}

impl Run {
    /// Stops following the run.
    pub fn stop_following(&self) {
        self.task.abort();
    }
}
