//! A client that follows one channel over WebSocket and checks every step: positions only rise, and
//! each delta continues the held view (`from` ≤ held < `to`).

use schemas::view::{Delta, Fold, Position, View};
use serde_json::{Value, json};

use crate::{
    centrifugal::client::{JsonClient, Refusal},
    patience::patiently,
};

/// A subscription with the state that its publications lead to. Every method panics when the server
/// breaks a promise of the protocol.
pub struct ChannelFollower {
    pub client: JsonClient,
    pub channel: String,
    pub held: Position,
    /// The view of a keyed channel such as a queue or a board.
    pub view: View,
    /// The states of a ticket, in the order of their arrival.
    pub states: Vec<Value>,
}

/// A subscription that began again.
pub struct ResumedFollower {
    pub follower: ChannelFollower,
    /// Whether the server sent the missed publications in place of a snapshot.
    pub recovered: bool,
    /// The number of missed publications in the reply.
    pub missed: usize,
}

impl ChannelFollower {
    /// Subscribes without a position: the reply has the snapshot.
    pub async fn start(node: &str, token: &str, channel: &str) -> Self {
        let started = Self::try_start(node, token, channel).await;
        started.unwrap_or_else(|refusal| panic!("{channel}: {refusal:?}"))
    }

    /// # Errors
    /// When the subscription is refused.
    pub async fn try_start(node: &str, token: &str, channel: &str) -> Result<Self, Refusal> {
        let mut client = JsonClient::connect(node, token).await;
        let reply = client.subscribe(channel).await?;
        assert_recoverable(&reply);
        assert!(reply.get("recovered").is_none(), "{reply}");
        let mut follower = Self {
            client,
            channel: channel.to_owned(),
            held: Position::default(),
            view: View::empty(0),
            states: Vec::new(),
        };
        follower.take_snapshot(&reply);
        Ok(follower)
    }

    /// Subscribes again from the held position, at any node.
    pub async fn resume(mut self, node: &str, token: &str) -> ResumedFollower {
        let mut client = JsonClient::connect(node, token).await;
        let since = json!({
            "channel": self.channel,
            "recover": true,
            "epoch": self.held.epoch.to_string(),
            "offset": self.held.version,
        });
        let reply = client.command("subscribe", since).await.expect("the channel was open before");
        assert_recoverable(&reply);
        assert_eq!(reply["was_recovering"], true, "{reply}");
        self.client = client;
        let recovered = reply["recovered"] == true;
        let mut missed = 0;
        if recovered {
            assert!(reply.get("data").is_none(), "a recovered reply has a snapshot: {reply}");
            for publication in reply["publications"].as_array().into_iter().flatten() {
                self.take_publication(publication);
                missed += 1;
            }
        } else {
            self.take_snapshot(&reply);
        }
        ResumedFollower { follower: self, recovered, missed }
    }

    fn take_snapshot(&mut self, reply: &Value) {
        let epoch = reply["epoch"].as_str().and_then(|epoch| epoch.parse().ok());
        let epoch = epoch.expect("the epoch is decimal");
        let position = Position { epoch, version: reply["offset"].as_u64().unwrap_or(0) };
        assert!(position >= self.held, "{}: {position:?} after {:?}", self.channel, self.held);
        self.held = position;
        self.take_data(&reply["data"]);
    }

    fn take_publication(&mut self, publication: &Value) {
        let offset = publication["offset"].as_u64().expect("a publication has an offset");
        let (channel, held) = (&self.channel, self.held.version);
        assert!(offset > held, "{channel}: offset {offset} after {held}");
        self.held.version = offset;
        self.take_data(&publication["data"]);
    }

    fn take_data(&mut self, data: &Value) {
        if self.channel.starts_with("ticket:") {
            self.states.push(data.clone());
        } else if data.get("entries").is_some() {
            self.view = serde_json::from_value(data.clone()).expect("a snapshot is a view");
            assert_eq!(self.view.position, self.held, "{}", self.channel);
        } else {
            let delta: Delta = serde_json::from_value(data.clone()).expect("a step is a delta");
            assert_eq!(self.view.fold(&delta), Fold::Applied, "{}: {data}", self.channel);
            assert_eq!(self.view.position.version, self.held.version, "{}", self.channel);
        }
    }

    /// The last state of the ticket.
    #[must_use]
    pub fn state(&self) -> &Value {
        self.states.last().expect("the snapshot was a state")
    }

    /// An entry of the view, or null.
    #[must_use]
    pub fn entry(&self, key: &str) -> Value {
        let entry = self.view.entries.get(key);
        entry.map_or(Value::Null, |text| serde_json::from_str(text.get()).expect("JSON"))
    }

    /// Reads publications until `done`.
    pub async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let wait = async {
            while !done(self) {
                let next = self.next().await;
                next.unwrap_or_else(|code| panic!("{}: closed with {code}", self.channel));
            }
        };
        patiently(what, wait).await;
    }

    /// Reads the next publication.
    ///
    /// # Errors
    /// The code with which the server closed the socket.
    pub async fn next(&mut self) -> Result<(), u16> {
        let push = self.client.push().await?;
        assert_eq!(push["channel"], self.channel.as_str(), "{push}");
        assert!(push.get("pub").is_some(), "{push}");
        self.take_publication(&push["pub"]);
        Ok(())
    }

    /// The view in the format of the snapshot route.
    #[must_use]
    pub fn as_snapshot(&self) -> Value {
        serde_json::to_value(&self.view).expect("a view has a JSON form")
    }
}

/// Without these two fields an SDK sends no position when it subscribes again.
fn assert_recoverable(reply: &Value) {
    let promises = (&reply["recoverable"], &reply["positioned"]);
    assert_eq!(promises, (&true.into(), &true.into()), "{reply}");
}
