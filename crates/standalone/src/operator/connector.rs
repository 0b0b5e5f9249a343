//! How subcommands connect to a gateway: plainly, or by TLS in a build that speaks it.

use std::path::Path;

use anyhow::Result;
use hyper_util::client::legacy::connect::HttpConnector;

/// Makes the connections of a client.
#[cfg(feature = "tls")]
pub(super) type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
/// Makes the connections of a client.
#[cfg(not(feature = "tls"))]
pub(super) type Connector = HttpConnector;

/// A connector that trusts the authorities in `ca`, or else those of the system. The certificate
/// and the name of a gateway are always checked.
///
/// # Errors
/// When the file cannot be read, or no authority is known.
#[cfg(feature = "tls")]
pub(super) fn connector(ca: Option<&Path>) -> Result<Connector> {
    use std::sync::Arc;

    use anyhow::{Context, ensure};
    use hyper_rustls::HttpsConnectorBuilder;
    use rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs::default_provider,
        pki_types::{CertificateDer, pem::PemObject},
    };

    let builder = HttpsConnectorBuilder::new();
    let Some(file) = ca else {
        let builder = builder
            .with_provider_and_native_roots(default_provider())
            .context("this system has no certificates of authorities: give --ca")?;
        return Ok(builder.https_or_http().enable_http1().build());
    };
    let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let read = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(read.unwrap_or_default());
    ensure!(added > 0, "{} holds no certificate in PEM form", file.display());
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(builder.with_tls_config(config).https_or_http().enable_http1().build())
}

/// A connector of a build without TLS.
///
/// # Errors
/// When a file of authorities is given, which it cannot use.
#[cfg(not(feature = "tls"))]
pub(super) fn connector(ca: Option<&Path>) -> Result<Connector> {
    anyhow::ensure!(ca.is_none(), "this build speaks no TLS: build it with --features tls");
    Ok(HttpConnector::new())
}
