//! The probe of a WebSocket to which a polling session may upgrade (Engine.IO 4, "Upgrade"): the
//! client sends `2probe`, the server answers `3probe`, the client ends its poll and sends `5`.
//!
//! engineioxide ends the session when a probe fails, and meanwhile answers each poll at once. So
//! our layer does the exchange, and engineioxide gets the WebSocket once the client has decided. A
//! proxy that cuts or stalls WebSockets then costs the session nothing: it goes on by polling.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, request::Parts};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use socketioxide::service::SocketIoService;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{interval, timeout},
};
use tower::Service;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Data, OpCode},
};

use super::{
    SEND_WITHIN,
    wire::{self, Wire},
};
use crate::wire::{lent_socket::LentSocket, peer::link::SessionLink};

/// How often a poll that waits is ended while the client wants to upgrade. The reference server
/// does so at this pace too.
const NOOP_PACE: Duration = Duration::from_millis(100);
/// Bytes up to which a probe is read: the two frames that it has, and what an eager client sends
/// with the second.
const MAX_PROBE: usize = 512;

/// Probes a WebSocket, and upgrades the session to it when the client says so. Otherwise the
/// WebSocket ends and the session is as before.
pub(super) async fn run(
    mut service: SocketIoService<axum::Router>,
    link: Arc<SessionLink>,
    lent_socket: Arc<LentSocket>,
    upgrade: OnUpgrade,
    head: Parts,
) {
    let exchange = async {
        let mut stream = TokioIo::new(upgrade.await.ok()?);
        let read = exchange(&mut stream, &link).await?;
        Some((stream, read))
    };
    let exchanged = tokio::select! {
        biased;
        () = link.until_cut() => None,
        exchanged = timeout(SEND_WITHIN, exchange) => exchanged.ok().flatten(),
    };
    link.probe_ends();
    if let Some((stream, read)) = exchanged
        && link.upgrade(lent_socket)
    {
        let told = wire::text_frame(PONG).len();
        let request = Request::from_parts(head, ());
        // The request was checked before the probe began.
        let _ = service.call((Wire::probed(stream, link, read, told), request)).await;
    }
}

const PING: &[u8] = b"2probe";
const PONG: &str = "3probe";
const UPGRADE: &[u8] = b"5";

/// Returns everything that was read, once the client has sent `5`; `None` when it ends, or sends
/// anything else.
async fn exchange(stream: &mut TokioIo<Upgraded>, link: &SessionLink) -> Option<Bytes> {
    let mut read = BytesMut::with_capacity(64);
    while frames(&read)?.is_empty() {
        read_some(stream, &mut read).await?;
    }
    if frames(&read)?[0] != PING {
        return None;
    }
    stream.write_all(&wire::text_frame(PONG)).await.ok()?;
    stream.flush().await.ok()?;
    let mut noops = interval(NOOP_PACE);
    loop {
        match &frames(&read)?[..] {
            [_] => {}
            [_, second, ..] if second == UPGRADE => return Some(read.freeze()),
            _ => return None,
        }
        tokio::select! {
            more = read_some(stream, &mut read) => more?,
            _ = noops.tick() => link.end_poll(),
        }
    }
}

/// Reads what is there. `None` at the end, and past the largest probe.
async fn read_some(stream: &mut TokioIo<Upgraded>, read: &mut BytesMut) -> Option<()> {
    if read.len() > MAX_PROBE {
        return None;
    }
    stream.read_buf(read).await.is_ok_and(|length| length > 0).then_some(())
}

/// The first two text messages in `bytes`, as far as they are whole. `None` when there is a frame
/// that no client sends in a probe.
pub(crate) fn frames(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut cursor = std::io::Cursor::new(bytes);
    let mut texts = Vec::new();
    while texts.len() < 2 {
        let Some((header, length)) = FrameHeader::parse(&mut cursor).ok()? else { break };
        let mask = header.mask.filter(|_| {
            let plain = !header.rsv1 && !header.rsv2 && !header.rsv3 && header.is_final;
            plain && header.opcode == OpCode::Data(Data::Text) && length <= 16
        })?;
        let (start, length) = (cursor.position() as usize, length as usize);
        let Some(body) = bytes.get(start..start + length) else { break };
        texts.push(body.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect());
        cursor.set_position((start + length) as u64);
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, text: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let body = text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        [first, 0x80 | text.len() as u8].into_iter().chain(mask).chain(body).collect()
    }

    #[test]
    fn only_whole_frames_are_read() {
        let both = [masked(0x81, PING), masked(0x81, UPGRADE), masked(0x82, b"more")].concat();
        let whole = masked(0x81, PING).len();
        for length in 0..whole {
            assert_eq!(frames(&both[..length]), Some(vec![]), "{length}");
        }
        assert_eq!(frames(&both[..whole + 3]), Some(vec![PING.to_vec()]));
        assert_eq!(frames(&both), Some(vec![PING.to_vec(), UPGRADE.to_vec()]));
    }

    #[test]
    fn frames_of_no_probe_are_refused() {
        for bytes in [
            masked(0x82, PING),     // binary
            masked(0x01, PING),     // a fragment
            masked(0x89, b""),      // a ping of the WebSocket
            masked(0x88, b""),      // a close
            masked(0x81, &[0; 17]), // too long
            [0x81, 1, b'5'].into(), // not masked
            masked(0xf1, PING),     // reserved bits
        ] {
            let after_ping = [masked(0x81, PING), bytes.clone()].concat();
            assert_eq!((frames(&bytes), frames(&after_ping)), (None, None), "{bytes:?}");
        }
    }
}
