//! The parts that all long-running commands share: the signal to stop, health and metrics, and the
//! ready file.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context;
use processors::servers::metrics::{Health, router};
use servers::systemd;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};

/// How long a batch under way may take after the signal to stop. A batch that is cut off is rolled
/// back by PostgreSQL and repeated by the next owner.
const LAST_BATCH: Duration = Duration::from_secs(15);

/// Changes once, when a signal asks the process to stop.
pub fn stop_signal() -> anyhow::Result<watch::Receiver<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let (stopping, stopped) = watch::channel(());
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping");
        systemd::notify(systemd::STOPPING);
        let _ = stopping.send(());
    });
    Ok(stopped)
}

/// Waits until the process is asked to stop.
pub async fn stop(mut stopped: watch::Receiver<()>) {
    // An error means that the sender is gone, which it is after the signal.
    drop(stopped.changed().await);
}

/// Serves metrics and health. Returns the address.
pub async fn serve(
    listen: SocketAddr,
    health: &Arc<Health>,
) -> anyhow::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("nothing can listen on {listen}: check --listen"))?;
    let address = listener.local_addr()?;
    let serving = axum::serve(listener, router(Arc::clone(health))).into_future();
    Ok((address, tokio::spawn(async { drop(serving.await) })))
}

/// Reports that the process has started its work.
pub async fn report_ready(
    health: &Health,
    address: SocketAddr,
    file: Option<&Path>,
) -> anyhow::Result<()> {
    health.ready.store(true, Relaxed);
    if let Some(path) = file {
        write_ready_file(path, &format!("{{\"metrics\":\"http://{address}\"}}\n")).await?;
    }
    systemd::notify(systemd::READY);
    Ok(())
}

/// Waits for the end of `work`. After the signal to stop, it has [`LAST_BATCH`] before it is cut
/// off with a warning, which is no failure.
pub async fn finish<E>(
    work: impl Future<Output = Result<(), E>>,
    stopped: watch::Receiver<()>,
    warning: &str,
) -> Result<(), E> {
    tokio::select! {
        done = work => done,
        () = async {
            stop(stopped).await;
            tokio::time::sleep(LAST_BATCH).await;
        } => {
            tracing::warn!("{warning}");
            Ok(())
        }
    }
}

/// Writes another file and renames it, so that a reader never finds a partial file.
async fn write_ready_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let unfinished = path.with_extension("unfinished");
    tokio::fs::write(&unfinished, text).await?;
    tokio::fs::rename(&unfinished, path).await?;
    Ok(())
}
