//! TLS to a NATS server. Files are read at every attempt: they are renewed under a running process.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;

use crate::config::NatsSettings;
use crate::config::pem_file::{authorities, certificates, private_key};

/// A session with a server whose certificate has to be valid for `name`.
///
/// # Errors
/// In words: files that cannot be read or do not fit, a name that no certificate can have.
pub(super) fn client(settings: &NatsSettings, name: &str) -> Result<ClientConnection, String> {
    let config = config(settings)?;
    let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())
}

/// Which servers are trusted, and what we show to one that asks for a certificate.
///
/// # Errors
/// In words: files that cannot be read or do not fit.
pub fn config(settings: &NatsSettings) -> Result<ClientConfig, String> {
    let roots = authorities(settings.tls_ca.as_deref())?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    match &settings.client_certificate {
        None => Ok(builder.with_no_client_auth()),
        Some(files) => {
            let (key, chain) = (private_key(&files.key)?, certificates(&files.cert)?);
            let built = builder.with_client_auth_cert(chain, key);
            built.map_err(|error| format!("{}: {error}", files.cert.display()))
        }
    }
}
