//! The answers of a node to clients of TLS and HTTP/2 past each bound. The crate h2 sends requests;
//! tests write frame by frame the requests that no library would send.

use std::io;

use bytes::Bytes;
use h2::{
    Reason,
    client::{self, SendRequest},
};
use http::{HeaderName, Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;

/// Kinds of frames (RFC 9113 §6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// Requests that a connection may have at once.
const STREAMS: usize = 64;

type Requests = SendRequest<Bytes>;
type Answer = Result<Response<h2::RecvStream>, h2::Error>;

impl TlsNode {
    /// Does the handshake from one of the addresses of this machine.
    async fn dial_from(&self, last: u8) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
        let tcp = socket.connect(self.node.address()).await?;
        let connector = TlsConnector::from(self.tls(b"h2"));
        connector.connect("localhost".try_into().unwrap(), tcp).await
    }

    /// A connection of the library, which lives as long as its task.
    async fn speak(&self, settings: &client::Builder) -> (Requests, JoinSet<()>) {
        let socket = self.dial_from(1).await.unwrap();
        let (requests, connection) = settings.handshake(socket).await.unwrap();
        let mut task = JoinSet::new();
        task.spawn(async { drop(connection.await) });
        (requests, task)
    }

    async fn assert_neighbour_is_served(&self) {
        let (requests, _task) = self.speak(&client::Builder::new()).await;
        let answer = ask(&requests, page()).await.unwrap();
        assert_eq!(answer.status(), 200, "a neighbour");
    }

    /// Sends frames without end on a connection of its own. Returns how long the node takes it.
    /// Meanwhile a neighbour is served.
    async fn flood(&self, first: &[u8], repeated: &[u8]) -> Duration {
        let (mut reading, mut writing) = split(self.dial_from(1).await.unwrap());
        let (first, repeated) = ([BEGIN, first].concat(), repeated.repeat(500));
        let write = async {
            writing.write_all(&first).await?;
            loop {
                writing.write_all(&repeated).await?;
            }
        };
        let read = async {
            let mut bytes = [0; 16 * 1024];
            while reading.read(&mut bytes).await? > 0 {}
            io::Result::Ok(())
        };
        let until_closed = async {
            tokio::select! {
                closed = write => closed,
                closed = read => closed,
            }
        };
        let began = Instant::now();
        let (closed, ()) =
            tokio::join!(timeout(LONGEST, until_closed), self.assert_neighbour_is_served());
        drop(closed.expect("the node closes"));
        began.elapsed()
    }
}

fn page() -> Request<()> {
    Request::get("https://localhost/").body(()).unwrap()
}

async fn ask(requests: &Requests, request: Request<()>) -> Answer {
    let (answer, _) = requests.clone().ready().await?.send_request(request, true)?;
    timeout(LONGEST, answer).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_without_end_close_their_own_http2_connection() {
    let node = TlsNode::start(test_settings());
    let get = |flags, payload: &[u8]| frame((HEADERS, flags, payload), 1);
    let post = [&b"\x83"[..], &GET[1..]].concat();
    // A client whose requests are idle is recognised only after the time for that.
    for (what, first, repeated, within) in [
        ("headers", get(0, GET), frame((CONTINUATION, 0, b"\0\x01a\x01b"), 1), 5),
        ("empty headers", get(0, GET), frame((CONTINUATION, 0, b""), 1), 5),
        ("empty content", get(END_HEADERS, &post), frame((DATA, 0, b""), 1), 5),
        ("settings", Vec::new(), frame((SETTINGS, 0, b"\0\x04\0\0\xff\xff"), 0), 20),
    ] {
        let lasted = Box::pin(node.flood(&first, &repeated)).await;
        assert!(lasted < Duration::from_secs(within), "{what}: {lasted:?}");
    }
    node.node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_past_the_bound_are_refused() {
    let node = TlsNode::start(test_settings());
    let (requests, _task) = node.speak(&client::Builder::new()).await;
    for _ in 0..50 {
        let mut request = page();
        for number in 0..20 {
            let name = HeaderName::try_from(format!("x-header-{number}")).unwrap();
            request.headers_mut().insert(name, "value".repeat(200).parse().unwrap());
        }
        let answer = ask(&requests, request).await.expect("an answer");
        assert_eq!(answer.status(), 431);
    }
    node.assert_neighbour_is_served().await;
    node.node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_reset_at_once_end_their_connection() {
    let node = TlsNode::start(test_settings());
    let (mut requests, mut task) = node.speak(&client::Builder::new()).await;
    let attack = async {
        loop {
            let mut begun = Vec::new();
            for _ in 0..STREAMS / 2 {
                requests = requests.ready().await?;
                begun.push(requests.send_request(page(), true)?);
            }
            tokio::task::yield_now().await;
            begun.iter_mut().for_each(|(_, stream)| stream.send_reset(Reason::CANCEL));
        }
        #[expect(unreachable_code, reason = "names the error")]
        Ok::<(), h2::Error>(())
    };
    timeout(LONGEST, attack).await.expect("the node ends it").unwrap_err();
    timeout(LONGEST, task.join_next()).await.expect("the connection ends");
    node.assert_neighbour_is_served().await;
    node.node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_whose_answers_nobody_takes_are_few() {
    let node = TlsNode::start(test_settings());
    let closed_window = [&[0, 4][..], &0_u32.to_be_bytes()].concat();
    let preface = &BEGIN[..BEGIN.len() - 9];
    let mut bytes = [preface, &frame((SETTINGS, 0, &closed_window), 0)].concat();
    let surplus = 2 * STREAMS as u32 + 1;
    (0..=STREAMS as u32).for_each(|number| bytes.extend(request(2 * number + 1)));
    let mut client = node.dial_from(1).await.unwrap();
    client.write_all(&bytes).await.unwrap();
    let refused = frame((3, 0, &7_u32.to_be_bytes()), surplus);
    let mut heard = Vec::new();
    let reading = async {
        while !heard.windows(refused.len()).any(|part| part == refused) {
            assert!(client.read_buf(&mut heard).await.unwrap() > 0, "the connection stays");
        }
    };
    timeout(LONGEST, reading).await.expect("the surplus stream is refused");
    node.assert_neighbour_is_served().await;
    node.node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_past_the_rate_of_an_address_get_no_answer() {
    let limits = LimitSettings::default().changed(&["handshakes=3/60".parse().unwrap()]);
    let node = TlsNode::start(Settings { limits, ..test_settings() });
    for _ in 0..3 {
        node.dial_from(66).await.unwrap();
    }
    node.dial_from(66).await.unwrap_err();
    node.assert_neighbour_is_served().await;
    node.node.shut_down().await;
}
