//! An HTTP server that keeps the requests which programs under test send to other systems.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A request as it came: its path, its headers with names in lower case, its body as text and as
/// bytes, and when its last byte was read.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub bytes: Bytes,
    pub received_at: SystemTime,
}

impl ReceivedRequest {
    /// The value of a header; empty when the request has none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

/// A receiver on a free port of this machine.
pub struct Receiver {
    /// `http://127.0.0.1:<port>`.
    pub origin: String,
    /// The status of every answer. With 0 there is no answer.
    pub status: AtomicU16,
    /// Bytes of the body of every answer.
    pub answer_bytes: AtomicUsize,
    taken: Mutex<Vec<ReceivedRequest>>,
    refused: AtomicUsize,
}

impl Receiver {
    /// Serves until the runtime ends. Every answer is 204 at first.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn serve() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the listener has an address");
        let receiver = Arc::new(Self {
            origin: format!("http://{address}"),
            status: AtomicU16::new(204),
            answer_bytes: AtomicUsize::new(0),
            taken: Mutex::default(),
            refused: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&receiver);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let serving = Arc::clone(&serving);
                tokio::spawn(async move { serving.talk(socket).await });
            }
        });
        receiver
    }

    /// The requests that were answered with 2xx.
    pub fn taken(&self) -> Vec<ReceivedRequest> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of requests that were answered with 2xx.
    pub fn count(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The number of the other requests.
    pub fn refused(&self) -> usize {
        self.refused.load(SeqCst)
    }

    /// Answers requests of one connection until it is closed.
    async fn talk(&self, mut socket: TcpStream) -> Option<()> {
        let (reader, mut writer) = socket.split();
        let mut reader = BufReader::new(reader);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).await.ok()?;
            let path = line.split(' ').nth(1)?.to_owned();
            let mut headers = Vec::new();
            loop {
                line.clear();
                reader.read_line(&mut line).await.ok()?;
                let Some((name, value)) = line.trim_end().split_once(": ") else { break };
                headers.push((name.to_ascii_lowercase(), value.to_owned()));
            }
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let mut body = vec![0; length.map_or(Ok(0), |(_, length)| length.parse()).ok()?];
            reader.read_exact(&mut body).await.ok()?;
            let status = self.status.load(SeqCst);
            match status {
                200..=299 => {
                    let received_at = SystemTime::now();
                    let (body, bytes) = (String::from_utf8_lossy(&body).into_owned(), body.into());
                    let request = ReceivedRequest { path, headers, body, bytes, received_at };
                    self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                }
                _ => drop(self.refused.fetch_add(1, SeqCst)),
            }
            if status == 0 {
                // A receiver that hangs: the client gives up long before the hour is over.
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            let bytes = self.answer_bytes.load(SeqCst);
            let head = match status {
                204 => "HTTP/1.1 204 X\r\n\r\n".to_owned(),
                _ => format!("HTTP/1.1 {status} X\r\ncontent-length: {bytes}\r\n\r\n"),
            };
            writer.write_all(head.as_bytes()).await.ok()?;
            if status != 204 {
                writer.write_all(&vec![b'x'; bytes]).await.ok()?;
            }
        }
    }
}
