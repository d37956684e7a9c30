//! TLS for what is neither Kafka's nor MongoDB's client: certificates from files, one provider.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use common::settings::Tls;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Returns what a client needs to know a server by the authorities of a PEM file.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn client(ca: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots
            .add(certificate)
            .with_context(|| format!("{} holds no authority", ca.display()))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Returns what a server needs to say who it is, from a PEM file with its private key and its chain of certificates.
///
/// # Errors
/// When the file cannot be read, or the key is not that of the first certificate.
pub fn server(pem: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let chain = certificates(pem)?;
    let private =
        PrivateKeyDer::from_pem_file(pem).with_context(|| format!("{} holds no private key", pem.display()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| format!("key and certificate in {} do not belong together", pem.display()))?;
    Ok(Arc::new(config))
}

/// As [`client`], where a link is to be encrypted.
///
/// # Errors
/// As there, and when no authority is named: between hosts there is always one of their own.
pub fn connector(tls: Option<&Tls>) -> anyhow::Result<Option<TlsConnector>> {
    let connector = |tls: &Tls| {
        let ca = tls.ca.as_ref().context("TLS between hosts needs an authority")?;
        client(ca).map(TlsConnector::from)
    };
    tls.map(connector).transpose()
}

/// As [`server`], where there is a file.
///
/// # Errors
/// As there.
pub fn server_of(pem: Option<&Path>) -> anyhow::Result<Option<Arc<ServerConfig>>> {
    pem.map(server).transpose()
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let unreadable = || format!("{} holds no certificates", path.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).with_context(unreadable)?.collect();
    let found = found.with_context(unreadable)?;
    anyhow::ensure!(!found.is_empty(), unreadable());
    Ok(found)
}
