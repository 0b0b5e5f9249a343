//! Asks a broker for its API versions, over a socket of its own. The answer does not depend on
//! librdkafka, whose clients are under suspicion while it is asked.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// How long a broker may take for the connection, and again for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// `ApiVersions` in version 0, which every broker answers: length, key 18, version 0, correlation
/// id 0, and no client id. Source: the protocol guide of Apache Kafka, "Protocol Primitive Types"
/// and "Messages".
const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

pub(super) struct Probe {
    brokers: Vec<String>,
    turn: usize,
}

impl Probe {
    /// `brokers` is a list of `host:port`, separated by commas.
    pub(super) fn new(brokers: &str) -> Self {
        Self { brokers: brokers.split(',').map(|one| one.trim().to_owned()).collect(), turn: 0 }
    }

    /// Asks the next broker. Takes at most a second.
    pub(super) fn is_answered(&mut self) -> bool {
        let broker = &self.brokers[self.turn % self.brokers.len()];
        self.turn += 1;
        ask(broker).is_ok()
    }
}

fn ask(broker: &str) -> io::Result<()> {
    let address = broker.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut socket = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    socket.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    socket.write_all(&REQUEST)?;
    // The length and the correlation id.
    let mut head = [0; 8];
    socket.read_exact(&mut head)?;
    if head[4..] == [0; 4] { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn next_broker_is_asked_in_turn() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let broker = TcpListener::bind("127.0.0.1:0").unwrap();
        let [first, second] = [&silent, &broker].map(|one| one.local_addr().unwrap().to_string());
        let answering = thread::spawn(move || {
            let (mut socket, _) = broker.accept().unwrap();
            let mut request = [0; 14];
            socket.read_exact(&mut request).unwrap();
            socket.write_all(&[0, 0, 0, 6, 0, 0, 0, 0, 0, 0]).unwrap();
            request
        });
        // The kernel accepts the connection of a stopped process: only an answer counts.
        let mut probe = Probe::new(&format!("{first}, {second}"));
        assert!(!probe.is_answered());
        assert!(probe.is_answered());
        assert_eq!(answering.join().unwrap(), REQUEST);
    }
}
