//! Certificates and keys from PEM. No error shows any of the text: part of it is secret.

use std::borrow::Cow;
use std::fs;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::broker::{BrokerError, BrokerErrorKind};
use crate::connect::Pem;

/// All certificates, at least one, in their order.
pub(super) fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, BrokerError> {
    let text = read(pem)?;
    match CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(unusable(format!(
            "{pem} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
        ))),
        Err(_) => Err(unusable(format!("{pem} is not well-formed PEM"))),
    }
}

/// The first key.
pub(super) fn key(pem: &Pem) -> Result<PrivateKeyDer<'static>, BrokerError> {
    let text = read(pem)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        unusable(format!(
            "{pem} holds no key in PEM that is not encrypted (-----BEGIN PRIVATE KEY-----)"
        ))
    })
}

fn read(pem: &Pem) -> Result<Cow<'_, [u8]>, BrokerError> {
    match pem {
        Pem::Text(text) => Ok(Cow::Borrowed(text)),
        Pem::File(path) => fs::read(path)
            .map(Cow::Owned)
            .map_err(|error| unusable(format!("cannot read {pem}: {error}"))),
    }
}

fn unusable(text: String) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Tls, text)
}
