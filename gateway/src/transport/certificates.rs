//! The certificate of a node: read from files, and again when they change, without a restart.

mod expiry;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::ProducesTickets,
};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::{clock, metrics::Metrics, settings::TlsFiles, wire::socket::Protocol};

/// How often the files are read: a renewal is weeks before the end of a certificate. The content is
/// compared, not the times, because a mounted secret keeps the times of its files.
const CHECK_EVERY: Duration = Duration::from_secs(30);

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what is wrong")]
pub enum CertificateError {
    #[error("cannot read {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds no private key in PEM form", .0.display())]
    NoKey(PathBuf),
    #[error("the certificate and the key cannot be used together")]
    Unusable(#[source] rustls::Error),
    #[error("the certificate has ended")]
    Ended,
}

/// The certificate that new connections get.
pub struct Certificates {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
    /// The fingerprint of the files that were tried last, so that a bad pair is logged once.
    tried: Mutex<[u8; 32]>,
    /// Keys of the tickets by which clients resume their sessions. They outlive a certificate.
    ticketer: Arc<dyn ProducesTickets>,
    asked: Notify,
    metrics: Arc<Metrics>,
}

/// A usable pair.
struct Pair {
    config: ServerConfig,
    /// In seconds since 1970.
    ends: i64,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// [`CertificateError`]. A certificate that has ended is used, with a warning: the node serves
    /// clients that accept it.
    pub fn read(files: TlsFiles, metrics: Arc<Metrics>) -> Result<Self, CertificateError> {
        let ticketer = aws_lc_rs::Ticketer::new().map_err(CertificateError::Unusable)?;
        let text = FileTexts::read(&files)?;
        let pair = text.parse(&files, &ticketer)?;
        if pair.ends <= now() {
            tracing::warn!("the certificate has ended: most clients will refuse it");
        }
        metrics.tls.certificate_ends.set(pair.ends);
        Ok(Self {
            files,
            current: RwLock::new(Arc::new(pair.config)),
            tried: Mutex::new(text.fingerprint()),
            ticketer,
            asked: Notify::new(),
            metrics,
        })
    }

    /// Finds out whether the files can be used.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn check(files: &TlsFiles) -> Result<(), CertificateError> {
        let ticketer = aws_lc_rs::Ticketer::new().map_err(CertificateError::Unusable)?;
        let pair = FileTexts::read(files)?.parse(files, &ticketer)?;
        if pair.ends > now() { Ok(()) } else { Err(CertificateError::Ended) }
    }

    /// The settings of a new connection.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for the files to be read again now.
    pub fn reload(&self) {
        // Even a pair that was refused before is tried, and reported.
        *self.tried.lock().unwrap_or_else(PoisonError::into_inner) = [0; 32];
        self.asked.notify_one();
    }

    /// Uses each new pair of files. A bad pair is logged, and the one before it stays.
    pub async fn keep_fresh(&self) {
        loop {
            let _ = tokio::time::timeout(CHECK_EVERY, self.asked.notified()).await;
            match self.replace() {
                Ok(false) => {}
                Ok(true) => {
                    self.metrics.tls.reload("used");
                    tracing::info!("a new certificate is used");
                }
                Err(error) => {
                    self.metrics.tls.reload("refused");
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the new certificate cannot be used; the old one stays"
                    );
                }
            }
        }
    }

    /// Uses the files if they have changed. Returns whether they have.
    fn replace(&self) -> Result<bool, CertificateError> {
        let text = FileTexts::read(&self.files)?;
        let fingerprint = text.fingerprint();
        let before = std::mem::replace(
            &mut *self.tried.lock().unwrap_or_else(PoisonError::into_inner),
            fingerprint,
        );
        if before == fingerprint {
            return Ok(false);
        }
        let pair = text.parse(&self.files, &self.ticketer)?;
        if pair.ends <= now() {
            return Err(CertificateError::Ended);
        }
        self.metrics.tls.certificate_ends.set(pair.ends);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair.config);
        Ok(true)
    }
}

/// The clock in seconds since 1970.
fn now() -> i64 {
    clock::now() / 1000
}

/// The files as they are. Each is a few KB, so reading them takes no time.
struct FileTexts {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl FileTexts {
    fn read(files: &TlsFiles) -> Result<Self, CertificateError> {
        let read = |file: &PathBuf| {
            std::fs::read(file).map_err(|error| CertificateError::Unreadable(file.clone(), error))
        };
        Ok(Self { certificate: read(&files.certificate)?, key: read(&files.key)? })
    }

    fn fingerprint(&self) -> [u8; 32] {
        let length = self.certificate.len().to_be_bytes();
        let all = Sha256::new().chain_update(length).chain_update(&self.certificate);
        all.chain_update(&self.key).finalize().into()
    }

    fn parse(
        &self,
        files: &TlsFiles,
        ticketer: &Arc<dyn ProducesTickets>,
    ) -> Result<Pair, CertificateError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .unwrap_or_default();
        let ends = chain.first().and_then(|leaf| expiry::not_after(leaf));
        let ends =
            ends.ok_or_else(|| CertificateError::NoCertificate(files.certificate.clone()))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| CertificateError::NoKey(files.key.clone()))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(CertificateError::Unusable)?;
        config.alpn_protocols = Protocol::NAMES.map(<[u8]>::to_vec).to_vec();
        config.ticketer = ticketer.clone();
        // A client resumes one connection at a time.
        config.send_tls13_tickets = 1;
        Ok(Pair { config, ends })
    }
}

#[cfg(test)]
mod tests;
