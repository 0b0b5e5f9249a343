//! A phone, screen or desk that follows one channel and holds every step to the contract: positions only rise,
//! and each delta continues what is held.

use schemas::view::{Delta, Fold, Position, View};
use serde_json::{Value, json};

use crate::{
    phone::{Phone, Refusal},
    world::patiently,
};

pub struct Follower {
    pub phone: Phone,
    pub channel: String,
    pub held: Position,
    /// The view of a queue or board.
    pub view: View,
    /// The states of a ticket, in the order they were shown.
    pub states: Vec<Value>,
}

/// How a subscription began again.
pub struct Resumed {
    pub follower: Follower,
    pub recovered: bool,
    /// The publications of the reply.
    pub missed: usize,
}

impl Follower {
    /// Follows a channel anew: the reply carries the snapshot.
    pub async fn start(node: &str, token: &str, channel: &str) -> Self {
        Self::try_start(node, token, channel)
            .await
            .unwrap_or_else(|refusal| panic!("{channel}: {refusal:?}"))
    }

    pub async fn try_start(node: &str, token: &str, channel: &str) -> Result<Self, Refusal> {
        let mut phone = Phone::connect(node, token).await;
        let reply = phone.subscribe(channel).await?;
        assert_promises(&reply);
        assert!(reply.get("recovered").is_none(), "{reply}");
        let mut follower = Self {
            phone,
            channel: channel.to_owned(),
            held: Position::default(),
            view: View::empty(0),
            states: Vec::new(),
        };
        follower.begin(&reply);
        Ok(follower)
    }

    /// Follows on from where `self` stands, on any node.
    pub async fn resume(mut self, node: &str, token: &str) -> Resumed {
        let mut phone = Phone::connect(node, token).await;
        let since = json!({
            "channel": self.channel,
            "recover": true,
            "epoch": self.held.epoch.to_string(),
            "offset": self.held.version,
        });
        let reply = phone.ask("subscribe", since).await.expect("the channel was open before");
        assert_promises(&reply);
        assert_eq!(reply["was_recovering"], true, "{reply}");
        self.phone = phone;
        let recovered = reply["recovered"] == true;
        let mut missed = 0;
        if recovered {
            assert!(
                reply.get("data").is_none(),
                "data stands only where nothing was recovered: {reply}"
            );
            for publication in reply["publications"].as_array().into_iter().flatten() {
                self.take(publication);
                missed += 1;
            }
        } else {
            self.begin(&reply);
        }
        Resumed { follower: self, recovered, missed }
    }

    /// Takes the snapshot of a reply.
    fn begin(&mut self, reply: &Value) {
        let epoch = reply["epoch"]
            .as_str()
            .and_then(|epoch| epoch.parse().ok())
            .expect("an epoch is decimal");
        let position = Position { epoch, version: reply["offset"].as_u64().unwrap_or(0) };
        assert!(position >= self.held, "{}: {position:?} after {:?}", self.channel, self.held);
        self.held = position;
        self.take_data(&reply["data"]);
    }

    /// Takes one publication.
    fn take(&mut self, publication: &Value) {
        let offset = publication["offset"].as_u64().expect("a publication has its offset");
        assert!(
            offset > self.held.version,
            "{}: {offset} after {}",
            self.channel,
            self.held.version
        );
        self.held.version = offset;
        self.take_data(&publication["data"]);
    }

    fn take_data(&mut self, data: &Value) {
        if self.channel.starts_with("ticket:") {
            self.states.push(data.clone());
        } else if data.get("entries").is_some() {
            self.view =
                serde_json::from_value(data.clone()).expect("a snapshot has the form of a view");
            assert_eq!(self.view.position, self.held, "{}", self.channel);
        } else {
            let delta: Delta =
                serde_json::from_value(data.clone()).expect("a step has the form of a delta");
            assert_eq!(self.view.fold(&delta), Fold::Applied, "{}: {data}", self.channel);
            assert_eq!(self.view.position.version, self.held.version, "{}", self.channel);
        }
    }

    /// The last state of the ticket.
    pub fn state(&self) -> &Value {
        self.states.last().expect("the snapshot was a state")
    }

    /// An entry of the view.
    pub fn entry(&self, key: &str) -> Value {
        self.view
            .entries
            .get(key)
            .map_or(Value::Null, |entry| serde_json::from_str(entry.get()).unwrap())
    }

    /// Takes pushes until `done`.
    pub async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let wait = async {
            while !done(self) {
                self.next()
                    .await
                    .unwrap_or_else(|code| panic!("{}: closed with {code}", self.channel));
            }
        };
        patiently(what, wait).await;
    }

    /// Takes the next push.
    pub async fn next(&mut self) -> Result<(), u16> {
        let push = self.phone.push().await?;
        assert_eq!(push["channel"], self.channel.as_str(), "{push}");
        assert!(push.get("pub").is_some(), "{push}");
        self.take(&push["pub"]);
        Ok(())
    }

    /// The view as the snapshot route writes it.
    pub fn as_snapshot(&self) -> Value {
        serde_json::to_value(&self.view).expect("a view has a JSON form")
    }
}

/// What every subscribe result must say, or SDKs send no position later.
fn assert_promises(reply: &Value) {
    assert_eq!(
        (&reply["recoverable"], &reply["positioned"]),
        (&true.into(), &true.into()),
        "{reply}"
    );
}
