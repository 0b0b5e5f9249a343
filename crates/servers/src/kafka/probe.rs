//! Asks a broker for its API versions, over a socket of its own. The answer does not depend on
//! librdkafka, whose clients may be wedged at that time.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::KafkaCluster;

/// How long a probe waits for a connection, and again for an answer.
const WAIT: Duration = Duration::from_millis(500);
/// How long a question stays open. A stalled broker accepts no connections, and its backlog holds
/// only 50: more questions would take the places of clients.
const OPEN_FOR: Duration = Duration::from_secs(30);

/// `ApiVersions` in version 0, which every broker answers: length, key 18, version 0, correlation
/// id 0, and no client id. Source: the protocol guide of Apache Kafka, "Protocol Primitive Types"
/// and "Messages".
const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

pub(super) struct Probe {
    targets: Vec<Target>,
    tls: Option<Arc<ClientConfig>>,
    turn: usize,
}

struct Target {
    broker: String,
    /// A question without an answer yet, and when it was sent.
    open: Option<(Box<dyn Stream>, Instant)>,
}

/// A socket, or TLS over one.
trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

impl Probe {
    pub(super) fn new(cluster: &KafkaCluster) -> Self {
        let target = |broker: &str| Target { broker: broker.trim().to_owned(), open: None };
        let targets = cluster.brokers.split(',').map(target).collect();
        Self { targets, tls: cluster.security.tls(), turn: 0 }
    }

    /// Asks the next broker, or waits for its answer to the question before. Takes at most a
    /// second.
    pub(super) fn is_answered(&mut self) -> bool {
        let turn = self.turn % self.targets.len();
        self.turn += 1;
        self.targets[turn].is_answered(self.tls.as_ref())
    }
}

impl Target {
    fn is_answered(&mut self, tls: Option<&Arc<ClientConfig>>) -> bool {
        let open = self.open.take().filter(|(_, sent_at)| sent_at.elapsed() < OPEN_FOR);
        let asked = open.map_or_else(|| ask(&self.broker, tls), Ok);
        let Ok((mut socket, sent_at)) = asked else { return false };
        // The length and the correlation id.
        let mut head = [0; 8];
        match socket.read_exact(&mut head) {
            Ok(()) => head[4..] == [0; 4],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.open = Some((socket, sent_at));
                false
            }
            Err(_) => false,
        }
    }
}

fn ask(broker: &str, tls: Option<&Arc<ClientConfig>>) -> io::Result<(Box<dyn Stream>, Instant)> {
    let address = broker.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let socket = TcpStream::connect_timeout(&address, WAIT)?;
    socket.set_read_timeout(Some(WAIT))?;
    socket.set_write_timeout(Some(WAIT))?;
    let mut stream: Box<dyn Stream> = match tls {
        None => Box::new(socket),
        Some(config) => {
            let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
            let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
            let session =
                ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
            Box::new(StreamOwned::new(session, socket))
        }
    };
    stream.write_all(&REQUEST)?;
    Ok((stream, Instant::now()))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;
    use crate::kafka::{KafkaSecurity, Topics};

    fn probe(brokers: String) -> Probe {
        let security = KafkaSecurity::default();
        let topics = Topics::default();
        Probe::new(&KafkaCluster { brokers, client_id: "tests", topics, security })
    }

    /// The kernel accepts connections for a stopped process: only an answer counts.
    #[test]
    fn open_question_is_answered_after_the_stall() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut probe = probe(address);
        assert!(!probe.is_answered());
        assert!(!probe.is_answered());
        let (mut socket, _) = listener.accept().unwrap();
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "there is one question only");
        let mut request = [0; 14];
        socket.read_exact(&mut request).unwrap();
        assert_eq!(request, REQUEST);
        socket.write_all(&[0, 0, 0, 6, 0, 0, 0, 0, 0, 0]).unwrap();
        assert!(probe.is_answered());
    }

    #[test]
    fn brokers_are_asked_in_turn() {
        let [silent, broker] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [first, second] = [&silent, &broker].map(|one| one.local_addr().unwrap());
        let answering = thread::spawn(move || {
            let (mut socket, _) = broker.accept().unwrap();
            socket.write_all(&[0, 0, 0, 6, 0, 0, 0, 0, 0, 0]).unwrap();
            socket.read_exact(&mut [0; 14]).unwrap();
        });
        let mut probe = probe(format!("{first}, {second}"));
        assert!(!probe.is_answered());
        assert!(probe.is_answered());
        answering.join().unwrap();
    }
}
