//! TLS to servers: the trusted authorities. The certificate and the name of a server are always
//! checked.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Why TLS to a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// A file has no certificate.
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// The system has none.
    #[error("this system has no certificates of authorities: install ca-certificates")]
    NoSystemCertificates,
    /// rustls refuses the settings.
    #[error("the settings of TLS do not fit")]
    Unusable(#[source] rustls::Error),
}

/// The settings of clients that trust the authorities in `ca_file`, or else those of the system.
///
/// # Errors
/// [`TlsError`]
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            let pem = std::fs::read(file)
                .map_err(|error| TlsError::Unreadable(file.to_owned(), error))?;
            let read = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
            let (added, _) = roots.add_parsable_certificates(read.unwrap_or_default());
            if added == 0 {
                return Err(TlsError::NoCertificate(file.to_owned()));
            }
        }
        None => {
            let (added, _) =
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                return Err(TlsError::NoSystemCertificates);
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
