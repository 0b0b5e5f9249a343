//! Fetches the documents with the keys of issuers, over HTTPS.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{Client, redirect::Policy};

use crate::access::auth::{FETCH_WITHIN, FetchDocument, FetchError, MAX_DOCUMENT};

/// How long a connection to an issuer may take, of [`FETCH_WITHIN`] for the whole fetch.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// A client that follows no redirect: the configured URL alone says where keys come from.
///
/// # Errors
/// The client's error, such as when this machine has no root certificates.
pub fn fetch_document() -> Result<FetchDocument, reqwest::Error> {
    let client = Client::builder()
        .user_agent(concat!("clinicwire-gateway/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_WITHIN)
        .timeout(FETCH_WITHIN)
        // One request in minutes: an idle connection would be closed by the other side anyway.
        .pool_max_idle_per_host(0)
        .build()?;
    Ok(Arc::new(move |url| {
        let client = client.clone();
        Box::pin(async move { fetch(&client, &url).await })
    }))
}

async fn fetch(client: &Client, url: &str) -> Result<Bytes, FetchError> {
    // The error would quote the URL again.
    let failed = |error: reqwest::Error| match error.is_timeout() {
        true => FetchError::TimedOut,
        false => FetchError::Unreachable(Box::new(error.without_url())),
    };
    let mut response = client.get(url).send().await.map_err(failed)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let mut document = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if document.len() + chunk.len() > MAX_DOCUMENT {
            return Err(FetchError::TooLarge);
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document.freeze())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request with `head` and `length` bytes.
    async fn answer(head: &str, length: usize) -> Result<Bytes, FetchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let answer = [head.as_bytes(), &vec![b' '; length][..]].concat();
        let served = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await;
            // The client may close early.
            let _ = socket.write_all(&answer).await;
        });
        let fetched = fetch_document().unwrap()(url).await;
        served.await.unwrap();
        fetched
    }

    #[tokio::test]
    async fn document_is_bounded_and_redirects_are_not_followed() {
        let ok = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
        assert_eq!(answer(ok, 10).await.unwrap().len(), 10);
        assert!(matches!(answer(ok, MAX_DOCUMENT + 1).await, Err(FetchError::TooLarge)));
        let moved = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\nconnection: close\r\n\
                     content-length: 0\r\n\r\n";
        assert!(matches!(answer(moved, 0).await, Err(FetchError::Status(302))));
    }

    #[tokio::test]
    async fn silent_issuer_is_unreachable() {
        let fetched = fetch_document().unwrap()("http://127.0.0.1:1/keys".to_owned()).await;
        assert!(matches!(fetched, Err(FetchError::Unreachable(_))));
    }
}
