//! The clerks' side: uploading files, asking for runs, following them, and reading what they found.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use hyper::{Method, body::Bytes};
use schemas::{finding::Finding, language::Language, rule::Rule};
use serde::Deserialize;
use serde_json::json;
use testing::claims_files::rules;
use tokio::{
    sync::{Semaphore, oneshot, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{clerks::Clerks, story::Story, verdict::RuleBook};
use crate::{
    breach::Breach,
    crowd::CrowdArgs,
    follower::{Follower, Hub, Transport, now_us},
    http::{Api, CommandFailure},
    payloads::Entries,
    target::{Node, Tenants},
    watch::{Kind, Watch},
};

/// The most a page of findings may have.
const PAGE: usize = 500;

/// Everything the clerks of all tenants use.
pub struct Office {
    pub api: Arc<Api>,
    nodes: Vec<Arc<Node>>,
    pub clerks: Vec<Clerks>,
    /// The editors of each tenant as followers.
    editors: Vec<Arc<Hub>>,
    crowd: CrowdArgs,
}

/// An uploaded file whose run is to be asked for.
#[derive(Clone)]
pub struct Errand {
    /// The order in which runs are asked for.
    pub index: usize,
    pub tenant: usize,
    /// Which of the generated files it is.
    pub content: usize,
    pub file: String,
    pub list_passes: bool,
}

/// A run that was accepted, and whoever follows it.
pub struct Run {
    pub errand: Errand,
    pub run: String,
    pub asked_us: i64,
    pub accepted_us: i64,
    pub follower: Arc<Follower>,
    task: JoinHandle<()>,
}

/// A run's view as it is read.
#[derive(Deserialize)]
struct Snapshot {
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
    /// When one is not taken.
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

    /// The rules that the tenant's files are checked by.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn rules(&self, tenant: usize) -> Result<RuleBook> {
        #[derive(Deserialize)]
        struct Stored {
            rules: Vec<Rule>,
        }
        let editor = &self.clerks[tenant].editor;
        let stored = self.api.read_in_time::<Stored>(&self.node(0), editor, "/v1/rules").await;
        Ok(RuleBook::new(&stored.context("read the rules")?.rules))
    }

    /// Uploads a file; gives its id, and how many milliseconds that took.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn upload(&self, turn: usize, tenant: usize, bytes: Bytes) -> Result<(String, f64)> {
        #[derive(Deserialize)]
        struct Kept {
            file: String,
            bytes: u64,
        }
        let (began, sent) = (Instant::now(), bytes.len() as u64);
        let path = format!("/v1/files?name=swarm-{turn}.csv");
        let editor = &self.clerks[tenant].editor;
        let kept =
            self.api.post::<Kept>(&self.node(turn), editor, &path, ("text/csv", bytes)).await;
        let kept = kept.context("upload a file")?;
        anyhow::ensure!(kept.bytes == sent, "{} of {sent} bytes were kept", kept.bytes);
        Ok((kept.file, began.elapsed().as_secs_f64() * 1e3))
    }

    /// Asks for the run, follows it from the moment it is accepted, on the next node, and waits for
    /// its end.
    ///
    /// # Errors
    /// When it is not accepted.
    pub async fn run(
        &self,
        errand: Errand,
        within: Duration,
        accepted: impl FnOnce(&str),
    ) -> Result<Run, CommandFailure> {
        #[derive(Deserialize)]
        struct Accepted {
            run: String,
        }
        let (index, editor) = (errand.index, &self.clerks[errand.tenant].editor);
        let body = json!({"file": errand.file, "list_passes": errand.list_passes}).to_string();
        let asked_us = now_us();
        let body = ("application/json", Bytes::from(body));
        let Accepted { run } = self.api.post(&self.node(index), editor, "/v1/runs", body).await?;
        let accepted_us = now_us();
        let (over, ended) = oneshot::channel();
        let mut watch = Watch::new(index, Kind::Keyed);
        watch.entries = Some(Entries::new());
        watch.story = Some(Box::new(Story::new(over)));
        let (follower, mut task) = self.follow(&self.editors[errand.tenant], &run, watch, index);
        accepted(&run);
        let seen = tokio::select! {
            seen = timeout(within, ended) => matches!(seen, Ok(Ok(()))),
            // It was turned away, which it has noted.
            _ = &mut task => false,
        };
        if !seen {
            follower.watch().note(Breach::NeverArrived, "the end of the run was not seen");
        }
        Ok(Run { errand, run, asked_us, accepted_us, follower, task })
    }

    /// The viewers of a tenant as followers.
    #[must_use]
    pub fn viewers(&self, tenant: usize) -> Arc<Hub> {
        hub(&self.crowd, &self.clerks[tenant].viewer)
    }

    /// Follows a run, until the task is aborted or nothing more can come.
    pub fn follow(
        &self,
        hub: &Arc<Hub>,
        run: &str,
        watch: Watch,
        client: usize,
    ) -> (Arc<Follower>, JoinHandle<()>) {
        let node = self.node(client + 1);
        let source = self.crowd.source(&node, client);
        let channel = format!("run:{run}");
        let follower = Arc::new(Follower::new(node, source, channel, Transport::Ws, watch));
        let task = tokio::spawn(follower.clone().run(hub.clone()));
        (follower, task)
    }

    /// The run's view as a node gives it out now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn view(&self, run: &Run) -> Result<Entries> {
        let Errand { index, tenant, .. } = run.errand;
        let path = format!("/v1/runs/{}", run.run);
        let snapshot =
            self.api.read_in_time(&self.node(index), &self.clerks[tenant].editor, &path).await;
        snapshot.map(|snapshot: Snapshot| snapshot.entries).context("read a run")
    }

    /// All findings of a run, page by page; how many have another message than their outcome's,
    /// too.
    ///
    /// # Errors
    /// When a page cannot be read.
    pub async fn findings(&self, run: &Run) -> Result<(Vec<Finding>, usize)> {
        #[derive(Deserialize)]
        struct Told {
            #[serde(flatten)]
            finding: Finding,
            message: String,
        }
        #[derive(Deserialize)]
        struct Page {
            findings: Vec<Told>,
            next: Option<String>,
        }
        let Errand { index, tenant, .. } = run.errand;
        let first = format!("/v1/runs/{}/findings?language=en&limit={PAGE}", run.run);
        let (mut path, mut findings, mut strange) = (first.clone(), Vec::new(), 0);
        loop {
            let page = self
                .api
                .read_in_time::<Page>(&self.node(index), &self.clerks[tenant].editor, &path)
                .await;
            let page = page.context("read findings")?;
            for Told { finding, message } in page.findings {
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

/// What followers with this token share.
fn hub(crowd: &CrowdArgs, token: &str) -> Arc<Hub> {
    Arc::new(Hub {
        api: Api::new(Duration::from_secs(crowd.command_deadline)),
        token: token.to_owned(),
        gate: Arc::new(Semaphore::new(crowd.connecting)),
        go: watch::Sender::new(true),
    })
}

impl Run {
    /// Listens no longer.
    pub fn let_go(&self) {
        self.task.abort();
    }
}
