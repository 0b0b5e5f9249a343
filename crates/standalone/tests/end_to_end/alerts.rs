//! Alerts to phones on real servers: a push service that decrypts, and processors that are killed.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::{SecretKey, elliptic_curve::sec1::ToEncodedPoint};
use serde_json::{Value, json};
use testing::{http::ApiRequest, patience::eventually, process::program};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{installation::Installation, real_servers::TURN, world::World};

/// A request to the push service: its headers in lower case, and the decrypted message.
struct Push {
    headers: Vec<(String, String)>,
    message: Value,
}

/// One device at a push service.
struct Device {
    key: SecretKey,
    auth: [u8; 16],
    origin: String,
    /// The status with which the push service answers every request.
    status: AtomicU16,
    /// Requests that were answered with 201, and the number of the others.
    taken: Mutex<Vec<Push>>,
    refused: AtomicU16,
}

impl Device {
    async fn serve() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let device = Arc::new(Self {
            key: SecretKey::from_slice(&[7; 32]).unwrap(),
            auth: [3; 16],
            origin: format!("http://{}", listener.local_addr().unwrap()),
            status: AtomicU16::new(201),
            taken: Mutex::default(),
            refused: AtomicU16::default(),
        });
        let serving = device.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                serving.answer(socket).await;
            }
        });
        device
    }

    async fn answer(&self, mut socket: TcpStream) {
        let mut reader = BufReader::new(&mut socket);
        let (mut headers, mut line) = (Vec::new(), String::new());
        reader.read_line(&mut line).await.unwrap();
        loop {
            line.clear();
            reader.read_line(&mut line).await.unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length").unwrap();
        let mut body = vec![0; length.1.parse().unwrap()];
        reader.read_exact(&mut body).await.unwrap();
        let status = self.status.load(Relaxed);
        if status == 201 {
            let text = web_push_native::decrypt(body, &self.key, &self.auth.into()).unwrap();
            let message = serde_json::from_slice(&text).unwrap();
            self.taken.lock().unwrap().push(Push { headers, message });
        } else {
            self.refused.fetch_add(1, Relaxed);
        }
        let close = "content-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n";
        let _ = socket.write_all(format!("HTTP/1.1 {status} X\r\n{close}").as_bytes()).await;
    }

    fn subscription(&self) -> Value {
        let point = self.key.public_key().to_encoded_point(false);
        json!({
            "endpoint": format!("{}/device/1", self.origin),
            "keys": {
                "p256dh": URL_SAFE_NO_PAD.encode(point),
                "auth": URL_SAFE_NO_PAD.encode(self.auth),
            },
        })
    }

    fn messages(&self) -> Vec<Value> {
        self.taken.lock().unwrap().iter().map(|push| push.message.clone()).collect()
    }

    async fn until_messages(&self, count: usize) -> Vec<Value> {
        eventually("the push service has the messages", async || {
            let messages = self.messages();
            (messages.len() >= count).then_some(messages)
        })
        .await
    }
}

/// An installation that sends alerts to this push service, and its public key.
async fn installation(device: &Device) -> (Installation, String) {
    let name = format!("push-key-{:012x}", fastrand::u64(..1 << 48));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).display().to_string();
    let made = program("clinicwire-processors")
        .args(["push-key", "--push-key-file", &file])
        .output()
        .unwrap();
    let printed = String::from_utf8(made.stdout).unwrap();
    let (name, public) = printed.trim().split_once('=').unwrap();
    assert_eq!(name, "CLINICWIRE_PUSH_PUBLIC_KEY");
    let more = vec![
        ("CLINICWIRE_PUSH_KEY_FILE", file),
        ("CLINICWIRE_PUSH_CONTACT", "mailto:it@clinic.example".to_owned()),
        ("CLINICWIRE_PUSH_PUBLIC_KEY", public.to_owned()),
        ("CLINICWIRE_PUSH_SERVICE", device.origin.clone()),
    ];
    (Installation::start_with(more).await, public.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_is_sent_once_over_a_restart() {
    let _turn = TURN.lock().await;
    let device = Device::serve().await;
    let (mut installation, public) = installation(&device).await;
    let world = std::mem::replace(&mut installation.world, World::new(Vec::new(), ""));
    let site = world.site().await;
    let mine = world.issue(&site, &site.general).await;
    let patient = world.patient(&[&mine]);
    let path = |rest: &str| format!("/v1/tickets/{}/{rest}", mine.ticket);
    assert_eq!(world.read(&patient, path("alerts")).await["public_key"], public.as_str());
    let subscription = device.subscription();
    let subscribe = ApiRequest::post(&path("subscribe-alerts")).token(&patient).json(subscription);
    let answer = world.api.settle(world.there(), subscribe).await;
    assert_eq!(answer.body["outcome"], "applied", "{}", answer.body);

    // The push service is busy, and the processor that knows it dies.
    device.status.store(503, Relaxed);
    world.call_next(&site, &site.general, &site.room_1).await;
    eventually("the push service was asked", async || {
        (device.refused.load(Relaxed) > 0).then_some(())
    })
    .await;
    installation.kill_processors();
    device.status.store(201, Relaxed);
    installation.start_processors();
    let called = json!({
        "kind": "called", "ticket": mine.ticket, "label": mine.label, "room": "Room 1",
    });
    assert_eq!(device.until_messages(1).await, std::slice::from_ref(&called));

    // Nothing of the first call follows the second one.
    world.ticket(&site, &mine, "recall").await;
    assert_eq!(device.until_messages(2).await, [called.clone(), called]);
    let headers = std::mem::take(&mut device.taken.lock().unwrap()[1].headers);
    let header = |name: &str| {
        let found = headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    assert_eq!((header("urgency"), header("content-encoding")), ("high", "aes128gcm"));
    assert_eq!(header("topic").len(), 32);
    assert!((1..=180).contains(&header("ttl").parse::<u32>().unwrap()));
    assert!(header("authorization").ends_with(&format!("k={public}")));
    let left = "SELECT count(*)::text FROM clinicwire.alert";
    eventually("no alert is left", async || {
        (installation.query(left).await == ["0"]).then_some(())
    })
    .await;

    // The push service has forgotten the device.
    device.status.store(410, Relaxed);
    world.ticket(&site, &mine, "recall").await;
    let devices = "SELECT count(*)::text FROM clinicwire.alert_device";
    eventually("the device is removed", async || {
        (installation.query(devices).await == ["0"]).then_some(())
    })
    .await;
    let told = "SELECT count(*)::text FROM clinicwire.journal \
                WHERE kind = 'applied' AND events::text LIKE '%alerts_unsubscribed%'";
    eventually("its location is told", async || {
        (installation.query(told).await == ["1"]).then_some(())
    })
    .await;
    installation.stop().await;
}
