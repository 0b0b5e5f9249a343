//! The sessions of a subject on all nodes.
//!
//! Nothing is written when a client connects. The node that needs a list appends a question to the
//! topic of revocations, which every node reads. Each node searches its connections and stores its
//! answer in the short-lived keys. So a list costs one pass over the connections of each node, and
//! the limits of lists bound how often that happens.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use schemas::{
    Millis,
    access::{RevocationTag, SessionsQuestion},
    codes::Code,
    ids::TenantId,
    record::ACCESS_TOPIC,
};
use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};

use crate::{
    backends::short_keys::{self, ShortKeys},
    context::NodeContext,
    inbox::{OpenConnection, ShardMessage},
    limits::Limit,
    random,
};

/// Most connections of a subject that one node lists: more than a subject may have.
const MAX_LISTED: usize = 100;
/// Most nodes that can answer one question. Further ones are not listed.
const MAX_NODES: usize = 64;
/// How long answers are kept: until the last one was read.
const ANSWER_TTL: Duration = Duration::from_secs(30);
/// How long a shard may take to look through its connections.
const SHARD_WITHIN: Duration = Duration::from_secs(1);
/// How old a question may be. A node that starts reads old ones, which nobody waits for.
const QUESTION_LIFE_MS: Millis = 10_000;
/// How long the log may take to acknowledge a question.
const APPEND_WITHIN: Duration = Duration::from_secs(3);
/// The pause between two looks at the answers.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the asking node waits after the last answer. All nodes read the question within
/// milliseconds of one another.
const QUIET_FOR: Duration = Duration::from_millis(500);
/// How long the asking node waits in all. Without an answer by then, the caller gets `try_again`.
const ANSWERS_WITHIN: Duration = Duration::from_secs(4);

/// One session of a subject, with its open connections.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ListedSession {
    pub session: String,
    pub issued: Millis,
    /// Whether it is the stay of a super admin from another tenant, or of staff from another
    /// location.
    pub crossed: bool,
    pub connections: Vec<ListedConnection>,
}

/// One open connection of a session.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ListedConnection {
    pub transport: String,
    pub channels: usize,
    pub expires: Millis,
}

/// The sessions of a subject that are connected to some node.
///
/// # Errors
/// `try_again` when the log or the short-lived keys do not answer, or no node does.
pub async fn list(
    node: &NodeContext,
    tenant: &TenantId,
    subject: &str,
) -> Result<Vec<ListedSession>, Code> {
    let question = format!("{:032x}", random::bits()?);
    let asked = SessionsQuestion { question: question.clone(), subject: subject.to_owned() };
    let record = asked.to_wire(tenant, random::bits()?);
    match timeout(APPEND_WITHIN, node.log.append(ACCESS_TOPIC, record)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a question about sessions was not acknowledged");
            return Err(Code::TryAgain);
        }
        Err(_) => return Err(Code::TryAgain),
    }
    Ok(by_session(answers(&*node.short_keys, &question).await?))
}

/// Collects the answers of all nodes.
async fn answers(keys: &dyn ShortKeys, question: &str) -> Result<Vec<OpenConnection>, Code> {
    let (began, mut heard_at) = (Instant::now(), None);
    let (mut found, mut nodes) = (Vec::new(), 0);
    while nodes < MAX_NODES && began.elapsed() < ANSWERS_WITHIN {
        match short_keys::answer(keys.get(&answer_key(question, nodes))).await? {
            Some(answer) => {
                let answer: Vec<OpenConnection> =
                    serde_json::from_str(&answer).map_err(|_| Code::Internal)?;
                found.extend(answer);
                nodes += 1;
                heard_at = Some(Instant::now());
            }
            None if heard_at.is_some_and(|at| at.elapsed() >= QUIET_FOR) => break,
            None => sleep(LOOK_EVERY).await,
        }
    }
    if nodes == 0 { Err(Code::TryAgain) } else { Ok(found) }
}

fn answer_key(question: &str, place: usize) -> String {
    format!("sessions:{question}:{place}")
}

fn by_session(connections: Vec<OpenConnection>) -> Vec<ListedSession> {
    let mut sessions = BTreeMap::<(Millis, String, bool), Vec<ListedConnection>>::new();
    for OpenConnection { session, issued, expires, crossed, transport, channels } in connections {
        let connection = ListedConnection { transport, channels, expires };
        sessions.entry((issued, session, crossed)).or_default().push(connection);
    }
    let listed = |((issued, session, crossed), connections)| ListedSession {
        session,
        issued,
        crossed,
        connections,
    };
    sessions.into_iter().map(listed).collect()
}

/// Answers a question that was appended at `appended_at`, from the connections of this node.
pub async fn answer(
    node: &NodeContext,
    shards: &[mpsc::Sender<ShardMessage>],
    tenant: &TenantId,
    asked: SessionsQuestion,
    appended_at: Millis,
) {
    let is_old = appended_at + QUESTION_LIFE_MS < crate::clock::now();
    if is_old || node.limits.spend(Limit::SessionsOfNode, node.limits.node_key()).is_err() {
        return;
    }
    let subject: Arc<str> = asked.subject.into();
    let mut found = Vec::new();
    for shard in shards {
        let (answer, answered) = oneshot::channel();
        let message =
            ShardMessage::Sessions { tenant: tenant.clone(), subject: subject.clone(), answer };
        let looked = async { shard.send(message).await.ok().map(|()| answered)?.await.ok() };
        // A list without the connections of a shard would look complete.
        let Ok(Some(here)) = timeout(SHARD_WITHIN, looked).await else { return };
        found.extend(here);
    }
    found.truncate(MAX_LISTED);
    let text = serde_json::to_string(&found).expect("connections have a JSON form");
    for place in 0..MAX_NODES {
        let key = answer_key(&asked.question, place);
        match short_keys::answer(node.short_keys.claim(&key, &text, ANSWER_TTL)).await {
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

/// Reads the id of a session, as a list shows it.
///
/// # Errors
/// `not_found` for a text that no list shows.
pub fn read_session(text: &str) -> Result<RevocationTag, Code> {
    text.parse().map_err(|_| Code::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(session: &str, transport: &str) -> OpenConnection {
        OpenConnection {
            session: session.to_owned(),
            issued: 5,
            expires: 9,
            crossed: false,
            transport: transport.to_owned(),
            channels: 2,
        }
    }

    #[test]
    fn connections_are_grouped_by_session() {
        let table = [("b", "sse"), ("a", "websocket"), ("b", "websocket")];
        let found = table.map(|(session, transport)| connection(session, transport));
        let listed = by_session(found.to_vec());
        let shown: Vec<_> = listed
            .iter()
            .map(|session| (session.session.as_str(), session.connections.len()))
            .collect();
        assert_eq!(shown, [("a", 1), ("b", 2)]);
    }
}
