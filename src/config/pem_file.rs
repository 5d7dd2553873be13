//! The one reader of PEM files. They may begin with a byte order mark, and not all of their text has
//! to be UTF-8: bundles have comments in other encodings.

use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject};

use super::text_file::{MAX_BYTES, read_bytes};
use crate::domain::text::without_mark;

/// The authorities in `file`, or, without one, the system's. There is at least one.
///
/// # Errors
/// What is wrong, the name of the file first.
pub fn authorities(file: Option<&Path>) -> Result<RootCertStore, String> {
    if let Some(file) = file {
        return read(file, authorities_in);
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    some(roots).map_err(|why| format!("the system {why}"))
}

/// The authorities in the text of a file, at least one.
///
/// # Errors
/// What is wrong, to be read after the name of the file.
pub(super) fn authorities_in(text: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(text)? {
        let added = roots.add(certificate);
        added.map_err(|error| format!("has a certificate that cannot be used: {error}"))?;
    }
    some(roots)
}

fn some(roots: RootCertStore) -> Result<RootCertStore, String> {
    match roots.is_empty() {
        true => Err("has no root certificate".to_owned()),
        false => Ok(roots),
    }
}

fn certificates_in(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(without_mark(text));
    found.map(|found| found.map_err(unreadable)).collect()
}

fn read<T>(file: &Path, parse: impl Fn(&[u8]) -> Result<T, String>) -> Result<T, String> {
    let text = read_bytes(file, MAX_BYTES).map_err(|error| error.to_string());
    let parsed = text.and_then(|text| parse(&text));
    parsed.map_err(|why| format!("{} {why}", file.display()))
}

fn unreadable(error: pem::Error) -> String {
    format!("is not PEM: {error}")
}
