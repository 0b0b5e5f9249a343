//! Uploads of claims files.

use axum::body::Bytes;
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::{files::Files, limits::Limits, node};

/// The size limit of a file in these tests, in bytes: more than one part of an upload.
pub(super) const MAX: u64 = 6 * 1024 * 1024;

const BOUNDARY: &str = "----boundary-of-a-test";

/// The headers with a token and the content type.
fn headers<'a>(bearer: &'a str, kind: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("authorization", bearer), ("content-type", kind)]
}

impl Node {
    /// Uploads a body as an editor.
    pub(super) async fn upload(
        &self,
        kind: &str,
        more: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        self.upload_as(&token(Role::Editor), kind, more, body).await
    }

    async fn upload_as(
        &self,
        token: &str,
        kind: &str,
        more: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [headers(&bearer, kind), more.to_vec()].concat();
        self.send_body("POST", "/v1/files?name=mars.csv", &headers, body.into()).await
    }

    /// Uploads a text as an editor, and returns the id of the file.
    pub(super) async fn uploaded(&self, text: &str) -> String {
        self.uploaded_by(&token(Role::Editor), text).await
    }

    /// Uploads a text as the bearer of a token, and returns the id of the file.
    pub(super) async fn uploaded_by(&self, token: &str, text: &str) -> String {
        let answer = self.upload_as(token, "text/csv", &[], text.to_owned()).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["file"].as_str().unwrap().to_owned()
    }

    async fn objects(&self) -> Vec<String> {
        let listed: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        listed.into_iter().map(|object| object.location.to_string()).collect()
    }
}

fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n").bytes(),
        );
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body
}

fn form_kind() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

fn content_digest(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A body without a length, in pieces as they arrive from a network.
fn pieces(bytes: Vec<u8>) -> Body {
    let pieces: Vec<_> =
        bytes.chunks(10_007).map(Bytes::copy_from_slice).map(Ok::<_, std::io::Error>).collect();
    Body::from_stream(stream::iter(pieces))
}

fn large(bytes: u64) -> Vec<u8> {
    (0..bytes).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn raw_upload_is_stored_with_its_label() {
    let node = node();
    let content = large(MAX);
    let answer = node.upload("text/csv; charset=windows-1252", &[], pieces(content.clone())).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let told = answer.json();
    let file = told["file"].as_str().unwrap();
    assert_eq!(
        told,
        json!({"file": file, "name": "mars.csv", "bytes": MAX, "sha256": hex(&content)})
    );
    let stored =
        node.store.get(&Path::from(format!("demo/{file}"))).await.unwrap().bytes().await.unwrap();
    assert!(stored == content);
    let id = schemas::ids::FileId::new(file).unwrap();
    let found = node
        .context
        .files
        .find(&claims_of("demo", "subject-1", Role::Editor), &id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.name.as_str(), found.bytes, found.sha256), ("mars.csv", MAX, hex(&content)));
    assert!(
        node.context
            .files
            .find(&claims_of("north", "subject-1", Role::Editor), &id)
            .await
            .unwrap()
            .is_none(),
        "another tenant's"
    );
    // Another editor of the tenant does not see it; roles that see all runs do.
    for (role, sees) in [(Role::Editor, false), (Role::Admin, true)] {
        let claims = claims_of("demo", "subject-2", role);
        let claims = Claims { locations: Vec::new(), ..claims };
        let found = node.context.files.find(&claims, &id).await.unwrap();
        assert_eq!(found.is_some(), sees, "{role:?}");
    }
}

#[tokio::test]
async fn form_upload_stores_its_file() {
    let node = node();
    let content = large(MAX);
    let body = form(&[
        ("name=\"note\"", b"for march"),
        ("name=\"file\"; filename=\"C:\\\\claims\\\\avril.csv\"", &content),
        ("name=\"after\"", b"nothing"),
    ]);
    for body in [Body::from(body.clone()), pieces(body.clone())] {
        let answer = node.upload(&form_kind(), &[], body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let told = answer.json();
        assert_eq!((&told["name"], &told["bytes"]), (&json!("avril.csv"), &json!(MAX)));
        assert_eq!(told["sha256"], hex(&content));
    }
    let nameless = form(&[("name=\"file\"", b"a;b")]);
    assert_eq!(node.upload(&form_kind(), &[], nameless).await.json()["name"], "mars.csv");
}

#[tokio::test]
async fn invalid_upload_answers_code_and_leaves_nothing() {
    let node = node();
    let kind = form_kind();
    let file = "name=\"file\"; filename=\"a.csv\"";
    let much = format!("name=\"{}\"", "x".repeat(2 * 64 * 1024));
    let many: Vec<_> = (0..2_000).map(|_| ("name=\"note\"", &b"n"[..])).collect();
    let cut = form(&[(file, b"a;b")]);
    let cut = &cut[..cut.len() - 8];
    let table: [(&str, Vec<u8>, u16, &str); 14] = [
        ("text/csv", vec![], 422, "file_empty"),
        (&kind, form(&[(file, b"")]), 422, "file_empty"),
        ("text/csv", large(MAX + 1), 413, "too_large"),
        (&kind, form(&[(file, &large(MAX + 1))]), 413, "too_large"),
        (&kind, form(&[("name=\"note\"", b"n")]), 400, "malformed"),
        (&kind, form(&[(file, b"a;b"), (file, b"c;d")]), 400, "malformed"),
        (&kind, form(&[(&much, b"n"), (file, b"a;b")]), 400, "malformed"),
        (&kind, form(&[&many[..], &[(file, b"a;b")]].concat()), 400, "malformed"),
        (&kind, cut.to_vec(), 400, "malformed"),
        (&kind, form(&[]), 400, "malformed"),
        (&kind, vec![], 400, "malformed"),
        ("multipart/form-data", form(&[(file, b"a;b")]), 400, "malformed"),
        ("application/json", b"{}".to_vec(), 415, "malformed"),
        ("application/x-www-form-urlencoded", b"a;b".to_vec(), 415, "malformed"),
    ];
    for (kind, body, status, code) in table {
        let answer = node.upload(kind, &[], pieces(body)).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{kind}");
    }
    assert_eq!(node.objects().await, Vec::<String>::new());
    let text = node.send("GET", "/metrics", &[], "").await.text;
    assert!(text.contains(r#"clinicwire_uploads_total{result="too_large"} 2"#), "{text}");
}

#[tokio::test]
async fn checksum_of_whole_body_must_match() {
    let node = node();
    let raw = b"a;b\n1;2".to_vec();
    let form = form(&[("name=\"file\"; filename=\"a.csv\"", b"a;b")]);
    for (kind, body) in [("text/csv", raw), (form_kind().as_str(), form)] {
        let right = format!("unixsum=:AAA=:, {}", content_digest(&body));
        let table = [
            (right, 201),
            ("md5=:AAAA:".to_owned(), 201),
            (content_digest(b"something else"), 422),
            ("sha-256=abc".to_owned(), 400),
            ("sha-256=:AAAA:".to_owned(), 400),
            ("sha-256".to_owned(), 400),
        ];
        for (digest, status) in table {
            let answer =
                node.upload(kind, &[("content-digest", &digest)], pieces(body.clone())).await;
            assert_eq!(answer.status, status, "{kind} {digest} {}", answer.text);
            if status == 422 {
                assert_eq!(answer.code(), "checksum_mismatch");
            }
        }
    }
    assert_eq!(node.objects().await.len(), 2 * 2 * 2);
}

#[tokio::test]
async fn declared_oversize_is_refused_before_body() {
    let node = node();
    let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let answer =
        node.upload("text/csv", &[("content-length", &(MAX + 1).to_string())], never).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
}

#[tokio::test]
async fn only_who_starts_runs_may_upload() {
    let node = node();
    for role in Role::ALL {
        let bearer = format!("Bearer {}", token(role));
        let answer = node.send("POST", "/v1/files", &headers(&bearer, "text/csv"), "a;b").await;
        let allowed =
            matches!(role, Role::Editor | Role::FinanceBilling | Role::Admin | Role::SuperAdmin);
        assert_eq!(answer.status, if allowed { 201 } else { 403 }, "{role:?}");
    }
    let answer = node.send("POST", "/v1/files", &[("content-type", "text/csv")], "a;b").await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_missing"));
    assert_eq!(node.ask(Role::Editor, "GET", "/v1/files", "").await.status, 405);
    assert_eq!(node.ask(Role::Editor, "POST", "/v1/files?nam=x", "").await.code(), "malformed");
}

/// A directory of one test, removed at the end.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("clinicwire-files-{:032x}", crate::random::bits().unwrap());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// All files in the directory and below.
    fn files(&self) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.0.clone()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { open.push(path) } else { found.push(path) }
            }
        }
        found
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn broken_upload_leaves_no_parts() {
    let directory = Directory::new();
    let store = LocalFileSystem::new_with_prefix(&directory.0).unwrap();
    let files = Files::new(Arc::new(store), MAX);
    let claims = claims_of("demo", "subject-1", Role::Editor);
    let limits = Limits::without_sharing(LimitSettings::default());
    let keep = |content: Vec<Result<Bytes, Code>>| {
        let place = files.place(&limits, &claims).unwrap();
        files.keep(&claims, place, "a.csv".into(), None, stream::iter(content))
    };
    let part = Bytes::from(large(5_500_000));
    let broken = vec![Ok(part.clone()), Err(Code::Malformed)];
    assert_eq!(keep(broken).await.err(), Some(Code::Malformed));
    let long = vec![Ok(part.clone()), Ok(part.clone())];
    assert_eq!(keep(long).await.err(), Some(Code::TooLarge));
    assert_eq!(directory.files(), Vec::<std::path::PathBuf>::new());
    let file = keep(vec![Ok(part.clone())]).await.unwrap();
    assert_eq!(directory.files().len(), 2, "the file, and what is known of it");
    let mut reader = files.open(&claims.tenant, &file.file).await.unwrap().unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut bytes).map(|_| bytes)
    });
    assert!(read.await.unwrap().unwrap() == part);
}

#[tokio::test(start_paused = true)]
async fn slow_upload_continues_and_stalled_one_ends() {
    const ENOUGH: usize = 256 * 1024;
    let node = node();
    let slowly = |pause: u64, bytes: usize| {
        let pieces = stream::iter(0..20).then(move |_| async move {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            Ok::<_, std::io::Error>(Bytes::from(vec![b'a'; bytes]))
        });
        Body::from_stream(pieces)
    };
    let answer = node.upload("text/csv", &[], slowly(15, ENOUGH)).await;
    assert_eq!((answer.status, &answer.json()["bytes"]), (201, &json!(20 * ENOUGH)));
    let answer = node.upload("text/csv", &[], slowly(15, 4)).await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "upload_too_slow"));
    let answer = node.upload("text/csv", &[], slowly(25, ENOUGH)).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"));
    let answer = node.upload(&form_kind(), &[], slowly(25, ENOUGH)).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"));
    assert_eq!(node.objects().await.len(), 2);
}

/// The fields before a file are read within a bound, however many small ones there are.
#[tokio::test(start_paused = true)]
async fn slow_fields_before_a_file_end_the_upload() {
    let node = node();
    let fields = stream::iter(0..500).then(|_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let part = "content-disposition: form-data; name=\"x\"\r\n\r\n1\r\n";
        Ok::<_, std::io::Error>(Bytes::from(format!("--{BOUNDARY}\r\n{part}")))
    });
    let began = tokio::time::Instant::now();
    let answer = node.upload(&form_kind(), &[], Body::from_stream(fields)).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"));
    assert!(began.elapsed() <= Duration::from_secs(21), "{:?}", began.elapsed());
}

#[tokio::test]
async fn excess_uploads_are_refused_until_permits_return() {
    let node = node_with(LimitSettings::default());
    let NodeContext { files, limits, .. } = &*node.context;
    let places_of = |tenant: &str, subject: &str| {
        let claims = claims_of(tenant, subject, Role::Editor);
        std::iter::from_fn(|| files.place(limits, &claims).ok()).collect::<Vec<_>>()
    };
    // A tenant has places for two of its subjects, and a node for four tenants.
    let mut places = places_of("other", "subject-1");
    assert_eq!(places.len(), 2);
    places.extend((0..8).flat_map(|n| places_of("other", &format!("subject-{n}"))));
    assert_eq!(places.len(), 4);
    node.uploaded("a;b").await;
    for tenant in ["third", "fourth", "fifth"] {
        places.extend((0..8).flat_map(|n| places_of(tenant, &format!("subject-{n}"))));
    }
    assert_eq!(places.len(), 16);
    let answer = node.upload("text/csv", &[], "a;b").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "try_again"));
    drop(places);
    for _ in 0..17 {
        node.uploaded("a;b").await;
    }
}

/// Sends a request to a running node, and reads the answer until the node closes the connection.
async fn over_socket(node: &node::RunningNode, request: &str, body: &[u8]) -> String {
    let mut socket = TcpStream::connect(node.address()).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    socket.write_all(body).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn large_file_uploads_over_a_socket() {
    const LARGE: u64 = 50 * 1024 * 1024;
    let fakes = node().fakes;
    let directory = Directory::new();
    let files = LocalFileSystem::new_with_prefix(&directory.0).unwrap();
    let backends = backends(&fakes, Arc::new(files));
    let settings = Settings { max_file: LARGE, ..test_settings() };
    let node = node::start(settings, backends).unwrap();
    let ready = "GET /health/ready HTTP/1.1\r\nhost: clinic.example\r\nconnection: close\r\n\r\n";
    while over_socket(&node, ready, b"").await.contains("access_unread") {
        tokio::task::yield_now().await;
    }
    let request = |length: u64| {
        format!(
            "POST /v1/files HTTP/1.1\r\nhost: clinic.example\r\nconnection: close\r\ncontent-type: \
                 text/csv\r\n\
             authorization: Bearer {}\r\ncontent-length: {length}\r\n\r\n",
            token(Role::Editor)
        )
    };
    let content = large(LARGE);
    let answer = over_socket(&node, &request(LARGE), &content).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert!(answer.contains(&hex(&content)), "{answer}");
    // A client that sends the whole body anyway still gets the reason for the refusal.
    let answer = over_socket(&node, &request(LARGE + 1), &[&content[..], b"x"].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("too_large"), "{answer}");
    // An upload that breaks off leaves no file.
    let mut socket = TcpStream::connect(node.address()).await.unwrap();
    socket.write_all(request(LARGE).as_bytes()).await.unwrap();
    socket.write_all(&content[..6_000_000]).await.unwrap();
    drop(socket);
    let metrics = "GET /metrics HTTP/1.1\r\nhost: clinic.example\r\nconnection: close\r\n\r\n";
    let ended = r#"clinicwire_uploads_total{result="malformed"} 1"#;
    while !over_socket(&node, metrics, b"").await.contains(ended) {
        tokio::task::yield_now().await;
    }
    assert_eq!(directory.files().len(), 2);
    node.shut_down().await;
}
