//! The private listener of a node: health and metrics for operators, apart from clients.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tower::ServiceExt;

use super::StartError;

/// Most connections at once: a few scrapers and balancers. Further ones wait in the backlog.
const CONNECTIONS: usize = 64;
/// Time for the head of a request, as on the public listener.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long one connection may exist. Scrapers open another one, and none can hold a place.
const CONNECTION_WITHIN: Duration = Duration::from_mins(5);
/// Pause after the system refused a socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds the listener.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    bound.map_err(|source| StartError::Listen { address, source })
}

/// Serves until it is aborted.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: http::Request<Incoming>| {
                router.clone().oneshot(request.map(Body::new))
            });
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WITHIN)
                .serve_connection(TokioIo::new(socket), service);
            // An error is that of a client which left, or of one that stayed too long.
            let _ = timeout(CONNECTION_WITHIN, serving).await;
            drop(place);
        });
    }
}
