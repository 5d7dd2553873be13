//! The one reader of PEM files. They may begin with a byte order mark, and not all of their text has
//! to be UTF-8: bundles have comments in other encodings.

use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

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
    match roots.is_empty() {
        true => Err("the system has no root certificate".to_owned()),
        false => Ok(roots),
    }
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
    Ok(roots)
}

/// The certificates in `file`, in its order.
///
/// # Errors
/// What is wrong, the name of the file first.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    read(file, certificates_in)
}

/// The first private key in `file`.
///
/// # Errors
/// What is wrong, the name of the file first.
pub fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    read(file, private_key_in)
}

/// The first private key in the text of a file.
///
/// # Errors
/// What is wrong, to be read after the name of the file.
pub(super) fn private_key_in(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    match PrivateKeyDer::from_pem_slice(without_mark(text)) {
        Err(pem::Error::NoItemsFound) => Err("has no private key".to_owned()),
        key => key.map_err(unreadable),
    }
}

/// The certificates in the text of a file, at least one.
///
/// # Errors
/// What is wrong, to be read after the name of the file.
pub(super) fn certificates_in(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(without_mark(text));
    let found: Result<Vec<_>, _> = found.map(|found| found.map_err(unreadable)).collect();
    match found?.as_slice() {
        [] => Err("has no certificate".to_owned()),
        certificates => Ok(certificates.to_vec()),
    }
}

fn read<T>(file: &Path, parse: impl Fn(&[u8]) -> Result<T, String>) -> Result<T, String> {
    let text = read_bytes(file, MAX_BYTES).map_err(|error| error.to_string());
    let parsed = text.and_then(|text| parse(&text));
    parsed.map_err(|why| format!("{} {why}", file.display()))
}

fn unreadable(error: pem::Error) -> String {
    format!("is not PEM: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CASES.md E4.
    #[test]
    fn a_byte_order_mark_is_no_part_of_a_certificate_or_key() {
        let made = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("both.pem");
        for before in ["", "\u{feff}", "\u{feff}# Gro\u{df}e Beh\u{f6}rde\n"] {
            std::fs::write(&file, [before, &certificate, &key].concat()).unwrap();
            assert_eq!(authorities(Some(&file)).unwrap().len(), 1, "{before}");
            assert_eq!(certificates(&file).unwrap().len(), 1, "{before}");
            assert!(private_key(&file).is_ok(), "{before}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_the_name_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.pem");
        let told = || authorities(Some(&file)).unwrap_err();
        assert!(told().contains("x.pem cannot be read: "), "{}", told());
        std::fs::write(&file, "nothing").unwrap();
        assert!(told().ends_with("x.pem has no certificate"));
        let section = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&file, section).unwrap();
        assert!(told().contains("x.pem has a certificate that cannot be used: "));
        let key = private_key(&file).unwrap_err();
        assert!(key.ends_with("x.pem has no private key"), "{key}");
    }
}
