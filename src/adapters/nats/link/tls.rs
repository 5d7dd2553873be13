//! TLS to a NATS server. Files are read at every attempt: they are renewed under a running process.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::config::{ClientCertificate, NatsSettings};

/// A session with a server whose certificate has to be valid for `name`.
///
/// # Errors
/// In words: files that cannot be read or do not fit, a name that no certificate can have.
pub(super) fn client(settings: &NatsSettings, name: &str) -> Result<ClientConnection, String> {
    let roots = roots(settings.tls_ca.as_deref())?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let config = match &settings.client_certificate {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let (chain, key) = identity(files)?;
            let built = builder.with_client_auth_cert(chain, key);
            built.map_err(|error| format!("{}: {error}", files.cert.display()))?
        }
    };
    let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in certificates(file)? {
                let added = roots.add(certificate);
                added.map_err(|error| format!("{}: {error}", file.display()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        let origin = file.map_or("the system".to_owned(), |file| file.display().to_string());
        return Err(format!("{origin} has no root certificate"));
    }
    Ok(roots)
}

fn identity(
    files: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let key = PrivateKeyDer::from_pem_file(&files.key);
    let key = key.map_err(|error| format!("{}: {error}", files.key.display()))?;
    Ok((certificates(&files.cert)?, key))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |error: rustls_pki_types::pem::Error| format!("{}: {error}", file.display());
    let certificates = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
    certificates
        .map(|certificate| certificate.map_err(unreadable))
        .collect()
}
