//! A target for each reader of untrusted bytes, with the properties that must hold for any bytes.
//! The fuzz targets run them without end (`make fuzz TARGET=frames`), and the tests of
//! `crates/standalone` on seeded bytes.

#[path = "read_all.rs"]
mod read_all;

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures_util::FutureExt;
use gateway::{
    access::auth::{DevelopmentKey, MAX_SUBJECT, Verifier},
    client_address::{ClientAddress, ClientHeader, TrustedProxies},
    decoders::{self, Grant, GrantKey},
};
use gateway_core::{
    access::{Claims, Origin, Role},
    event_names::EventNames,
    frame_meter::FrameMeter,
    protocol::{ClientCommand, json, protobuf},
    rate::Micros,
    session::{Effect, Session},
};
use schemas::{
    access::Revocation,
    audit::AuditRecord,
    channel::Channel,
    ids::{Aggregate, TenantId},
    record::{CommandRecord, NamedCommand, ViewsHead, ViewsRecord, WireRecord},
};
use serde_json::Value;
use testing::tokens::DevelopmentIssuer;

pub use self::read_all::read_all as claims_file;

/// A target, and bytes to begin with.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: &'static [&'static [u8]],
}

/// Every target.
pub const TARGETS: [Target; 14] = [
    Target {
        name: "frames",
        run: frames,
        seeds: &[
            b"\x03\x81\x85\0\0\0\0hello\x89\x80\0\0\0\0",
            b"\x01\x01\xfe\0\x80\0\0\0\0{\x80\x80\0\0\0\0",
            b"\x02\x82\xff\0\0\0\0\0\x01\0\x01\0\0\0\0\x8a\x80\0\0\0\0",
        ],
    },
    Target {
        name: "json_commands",
        run: json_commands,
        seeds: &[
            br#"{"id":1,"connect":{"token":"x"}}"#,
            b"{\"id\":2,\"subscribe\":{\"channel\":\"queue:riverside.general\",\"recover\":true,\
              \"epoch\":\"7\",\"offset\":\"9\"}}\n{}",
            br#"{"id":"3","unsubscribe":{"channel":null}}"#,
            br#"{"id":4,"refresh":{"token":"\u0061"}}"#,
            br#"{"send":{"data":1}}"#,
        ],
    },
    Target {
        name: "protobuf_commands",
        run: protobuf_commands,
        seeds: &[
            b"\x07\x08\x01\x22\x03\x0a\x01x",
            b"\x13\x08\x02\x2a\x0f\x0a\x07board:r\x18\x01\x32\x017\x38\x09",
            b"\0\x05\x08\x03\x32\x01\0",
        ],
    },
    Target {
        name: "socketio_events",
        run: socketio_events,
        seeds: &[
            br#"["subscribe",{"channel":"board:r","epoch":"7","version":9}]"#,
            br#"["unsubscribe",{"channel":"board:r"}]"#,
            br#"["refresh",{"token":"x"}]"#,
            br#"["subscr\u0069be",{"channel":7}]"#,
        ],
    },
    Target {
        name: "event_names",
        run: event_names,
        seeds: &[
            b"\x0342[\"na\\\"me\",1]\x1e451-[\"\\u0061\",{\"_placeholder\":true,\"num\":0}]",
            b"\x0142/admin,7[ \"a\\\\\"]",
            b"\x0740{\"token\":\"\\n\"}",
        ],
    },
    Target {
        name: "engine_requests",
        run: engine_requests,
        seeds: &[
            b"/socket.io/?EIO=4&transport=polling",
            b"/socket.io/?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAA",
            b"\x81\x86\0\0\0\x002probe\x81\x81\0\0\0\x005",
        ],
    },
    Target {
        name: "proxy_headers",
        run: proxy_headers,
        seeds: &[
            b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\nGET",
            b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n",
            b"PROXY UNKNOWN\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x01\x02\x03\x04GET",
        ],
    },
    Target {
        name: "forwarded",
        run: forwarded,
        seeds: &[
            b"for=192.0.2.7;proto=https, for=\"[2001:db8::7]:4711\"",
            b"192.0.2.7, 10.1.2.3",
            b"for=unknown, for=_hidden;by=10.0.0.1",
            b"10.0.0.1\n192.0.2.7",
        ],
    },
    Target {
        name: "event_ids",
        run: event_ids,
        seeds: &[
            b"7.12_0.0_x:demo.18c2a.c3ViamVjdA.0-.AAAAAAAAAAAAAAAAAAAAAA",
            b"18446744073709551615.1:demo.ff.YQ.1-3-a-b.AA",
            b":",
        ],
    },
    Target {
        name: "tokens",
        run: tokens,
        seeds: &[
            br#"{"role":["offline_access","RECEPTIONIST"],"locations":["riverside"],"sid":"s"}"#,
            br#"{"exp":1e300,"nbf":-1,"aud":["clinicwire",7],"sub":null,"iat":"x"}"#,
            br#"{"permission_version":3,"device":"d","ticket_link":"t","jti":"j","doctor":"d"}"#,
            b"eyJhbGciOiJub25lIn0.eyJpc3MiOiJjbGluaWN3aXJlLWRldmVsb3BtZW50In0.",
        ],
    },
    Target {
        name: "channels",
        run: channels,
        seeds: &[
            b"ticket:riverside.00000000000000000000000000000001",
            b"schedule:riverside/dr-a",
            b"run:r_0000000000000001_00000000000000000000000000000001",
            b"board:riverside",
        ],
    },
    Target {
        name: "records",
        run: records,
        seeds: &[
            b"demo/riverside\nce_type: clinicwire.queue.open.v1\nce_id: a\nce_source: s\n\n\
              {\"type\":\"queue.open\",\"queue\":\"riverside.general\"}",
            b"demo/riverside\nce_type: clinicwire.views.changed.v1\nce_epoch: 1\nce_version: 2\n\
              ce_command: c\nce_commandsource: s\n\n\
              {\"position\":{\"epoch\":1,\"version\":2},\"at\":3,\"deltas\":[]}",
            b"demo/subject/ann\nce_type: clinicwire.access.revoked.v1\n\n\
              {\"target\":{\"kind\":\"subject\",\"id\":\"ann\"},\"at\":1,\
              \"by\":{\"subject\":\"b\",\"role\":\"admin\"}}",
            b"demo\nce_type: x\n\n{\"entries\":[{\"at\":1,\"subject\":\"s\",\"role\":\"r\",\
              \"action\":\"a\",\"what\":[\"w\"]}]}",
        ],
    },
    Target {
        name: "uploads",
        run: uploads,
        seeds: &[
            b"\x05--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n\
              a;b\n\r\n--b--\r\n",
            b"\x01--b\r\ncontent-disposition: form-data; name=\"x\"\r\n\r\ny\r\n--b\r\n\
              content-disposition: form-data; name=\"file\"\r\n\r\nz\r\n--b--",
        ],
    },
    Target {
        name: "claims_file",
        run: claims_file,
        seeds: &[
            b"\x00\x031;100000001;10000000001;2025-03-04;08:00;08:45;202510;55123;;;15815;1;1\n",
            b"\x04\xc8\"a\"\"b\";\"\r\n\";x\r1;2\n",
            b"\x10\x05sep=;\nx;\xe9;\xc3\xa9\n",
        ],
    },
];

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

fn is_one<T>(ready: Option<T>) -> T {
    ready.expect("all bytes are there, so nothing waits")
}

/// The meter gives the same answer however the bytes are cut.
pub fn frames(data: &[u8]) {
    let [cut, bytes @ ..] = data else { return };
    let count = |size: usize| {
        let mut meter = FrameMeter::default();
        bytes.chunks(size.max(1)).try_for_each(|piece| meter.count(piece, Micros(0)))
    };
    assert_eq!(count(bytes.len()), count(usize::from(*cut)), "cuts do not matter");
}

/// The rewriter of names changes bytes to question marks alone, and the same ones however the bytes
/// are cut. A second pass finds nothing more.
pub fn event_names(data: &[u8]) {
    let [cut, bytes @ ..] = data else { return };
    let pass = |bytes: &[u8], size: usize| {
        let (mut passed, mut names) = (bytes.to_vec(), EventNames::default());
        passed.chunks_mut(size.max(1)).for_each(|piece| names.pass_body(piece));
        passed
    };
    let passed = pass(bytes, bytes.len());
    assert_eq!(passed, pass(bytes, usize::from(*cut)), "cuts do not matter");
    assert!(bytes.iter().zip(&passed).all(|(was, is)| was == is || *is == b'?'));
    assert_eq!(passed, pass(&passed, passed.len()), "no escape is left");
}

/// A connected client's session survives any commands, and reports no channel that it was not
/// given.
fn give_to_session<'a>(commands: impl Iterator<Item = Option<ClientCommand<'a>>>) {
    let mut session = Session::with_claims(Arc::new(claims()));
    for command in commands.map_while(|command| command) {
        if let Effect::Subscribe { channel, .. } = session.receive(command) {
            assert!(Channel::parse(&channel.to_string()).is_ok());
        }
    }
}

fn claims() -> Claims {
    let tenant = TenantId::new("demo").expect("a tenant");
    Claims {
        origin: Origin::new(&tenant, "somebody", 0),
        tenant,
        subject: "somebody".into(),
        role: Role::Admin,
        locations: Vec::new(),
        queues: Vec::new(),
        tickets: Vec::new(),
        appointments: Vec::new(),
        doctor: None,
        expires: 1000,
    }
}

pub fn json_commands(data: &[u8]) {
    if let Some(text) = text(data) {
        give_to_session(json::commands(text));
    }
}

/// No frame has more commands than bytes.
pub fn protobuf_commands(data: &[u8]) {
    assert!(protobuf::commands(data).count() <= data.len());
    give_to_session(protobuf::commands(data));
}

pub fn socketio_events(data: &[u8]) {
    if let Some(text) = text(data) {
        let _ = decoders::socketio_event(text);
    }
}

/// More bytes never change the messages that were whole before.
pub fn engine_requests(data: &[u8]) {
    if let Ok(address) = http::Uri::try_from(data) {
        decoders::reads_engine_request(http::Method::GET, address.clone());
        decoders::reads_engine_request(http::Method::POST, address);
    }
    let Some(whole) = decoders::probe_frames(data) else { return };
    for length in 0..data.len().min(64) {
        let some = decoders::probe_frames(&data[..length]);
        assert!(some.is_some_and(|some| whole.starts_with(&some)), "{length} bytes of a probe");
    }
}

/// A header ends where it says, whatever follows.
pub fn proxy_headers(data: &[u8]) {
    let read = |bytes: &[u8]| {
        let mut rest = bytes;
        let client = decoders::proxy_header(&mut rest).now_or_never();
        (is_one(client).ok(), bytes.len() - rest.len())
    };
    let (client, length) = read(data);
    if client.is_some() {
        assert_eq!(read(&[data, b"more"].concat()), (client, length));
        assert_eq!(read(&data[..length]), (client, length));
    }
}

/// A client that is no trusted proxy has its own address, and a client behind a proxy cannot pass
/// for a proxy by its own header.
pub fn forwarded(data: &[u8]) {
    let network = "10.0.0.0/8".parse().expect("a network");
    let (proxy, other) = ([10, 0, 0, 1].into(), [192, 0, 2, 1].into());
    let (proxy, other) = (ClientAddress::new(proxy), ClientAddress::new(other));
    for (header, name) in
        [(ClientHeader::Forwarded, "forwarded"), (ClientHeader::XForwardedFor, "x-forwarded-for")]
    {
        let proxies = TrustedProxies::new(vec![network], header, false);
        let mut headers = http::HeaderMap::new();
        for line in data.split(|byte| *byte == b'\n') {
            if let Ok(value) = http::HeaderValue::from_bytes(line) {
                headers.append(name, value);
            }
        }
        assert_eq!(proxies.client(other, &headers).address, other);
        proxies.client(proxy, &headers);
        // The nearest proxy appends its peer, which then is the client.
        headers.append(name, http::HeaderValue::from_static("203.0.113.9"));
        if header == ClientHeader::XForwardedFor {
            let client = proxies.client(proxy, &headers).address;
            assert_eq!(client, ClientAddress::new([203, 0, 113, 9].into()));
        }
    }
}

/// No text opens as a grant that was not sealed, and each channel has a position or none.
pub fn event_ids(data: &[u8]) {
    static KEY: LazyLock<GrantKey> = LazyLock::new(|| GrantKey::new(&[7; 32]));
    let board = Channel::parse("board:riverside").expect("a channel");
    if let Some(text) = text(data) {
        let (positions, sealed) = text.split_once(':').unwrap_or((text, text));
        assert_eq!(decoders::event_positions(positions, 3).len(), 3);
        assert!(KEY.open(sealed, std::slice::from_ref(&board), 0).is_err());
    }
    let Claims { tenant, subject, role, origin, .. } = claims();
    let channels = vec![board];
    let grant = Grant { tenant, subject, role, expires: 1, channels: channels.clone(), origin };
    let sealed = KEY.seal(&grant);
    let mut changed = sealed.clone().into_bytes();
    for (place, byte) in data.chunks_exact(2).map(|pair| (usize::from(pair[0]), pair[1])) {
        let place = place % changed.len();
        changed[place] = byte;
    }
    // Digits may be written in two ways.
    if let Some(Ok(opened)) = text(&changed).map(|changed| KEY.open(changed, &channels, 0)) {
        assert!(opened == grant, "a changed grant opens");
    }
}

/// No text is a token, and a signed token gives only claims within their bounds.
pub fn tokens(data: &[u8]) {
    const WORDS: &str = "words of the fuzz targets";
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
        Verifier::new(DevelopmentKey::from_words(WORDS).keys()).expect("a development key")
    });
    static ISSUER: LazyLock<DevelopmentIssuer> =
        LazyLock::new(|| DevelopmentIssuer::from_words(WORDS, 60));
    let Some(text) = text(data) else { return };
    let now = gateway::clock::now();
    assert!(VERIFIER.verify(text, now).is_err());
    let Ok(claims @ Value::Object(_)) = serde_json::from_str::<Value>(text) else { return };
    if let Ok(claims) = VERIFIER.verify(&ISSUER.sign("reception", &claims), now) {
        assert!((1..=MAX_SUBJECT).contains(&claims.subject.len()) && claims.expires > now);
    }
}

/// A channel has one name.
pub fn channels(data: &[u8]) {
    let Some(name) = text(data) else { return };
    let Ok(channel) = Channel::parse(name) else { return };
    assert_eq!(channel.to_string(), name);
    let aggregate = channel.aggregate(&TenantId::new("demo").expect("a tenant"));
    assert!(Aggregate::parse(aggregate.as_str()).is_ok_and(|parsed| parsed == aggregate));
}

/// A record that can be read can be written and read again.
pub fn records(data: &[u8]) {
    let Some(record) = wire_record(data) else { return };
    if let Ok(command) = CommandRecord::from_wire(&record) {
        let again = CommandRecord::from_wire(&command.to_wire());
        assert!(again.is_ok_and(|again| again == command), "a command changes");
    }
    let _ = NamedCommand::from_wire(&record);
    let head = ViewsHead::from_wire(&record);
    if let (Ok(head), Ok(views)) = (head, ViewsRecord::from_value(&record.value)) {
        let text = views.to_wire(&head.aggregate).value;
        let again =
            ViewsRecord::from_value(&text).map(|again| again.to_wire(&head.aggregate).value);
        assert!(again.is_ok_and(|again| again == text), "a record of views changes");
    }
    if let Ok((tenant, revocation)) = Revocation::from_wire(&record) {
        let again = Revocation::from_wire(&revocation.to_wire(&tenant, 1));
        assert!(again.is_ok_and(|again| again == (tenant, revocation)), "a revocation changes");
    }
    if let Ok(audit) = serde_json::from_slice::<AuditRecord>(&record.value) {
        audit.entries.into_iter().for_each(|entry| drop(entry.bounded()));
    }
}

/// A record from its text: the key, the headers, an empty line, and the value.
fn wire_record(data: &[u8]) -> Option<WireRecord> {
    let end = data.windows(2).position(|pair| pair == b"\n\n")?;
    let (head, value) = (text(&data[..end])?, &data[end + 2..]);
    let (key, headers) = head.split_once('\n').unwrap_or((head, ""));
    let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.into(), value.into()));
    let headers = headers.lines().filter_map(pair).collect();
    Some(WireRecord { key: key.to_owned(), headers, value: Bytes::copy_from_slice(value) })
}

/// The file in a form is the same however its body is cut.
pub fn uploads(data: &[u8]) {
    let [cut, body @ ..] = data else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let read = |size: usize| {
        let pieces = body.chunks(size.max(1)).map(Bytes::copy_from_slice).collect();
        runtime.block_on(decoders::form_file(pieces, "b".to_owned())).ok()
    };
    assert_eq!(read(body.len()), read(usize::from(*cut)), "cuts do not matter");
}
