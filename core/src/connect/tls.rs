//! Whom we trust and how we show who we are, where the URL says `amqps://`. Values: nothing is read here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::endpoint::Endpoint;
use super::error::InvalidOptions;
use super::options::ConnectOptions;

/// The settings of an encrypted connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// The only CAs that are trusted; `None`: those of the system.
    pub(crate) ca: Option<Pem>,
    pub(crate) client: Option<ClientCertificate>,
    pub(crate) server_name: Option<String>,
}

/// Our own certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    pub(crate) chain: Pem,
    pub(crate) key: Pem,
}

/// PEM text, or the file that holds it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Pem {
    File(PathBuf),
    Text(Arc<[u8]>),
}

impl TlsSettings {
    /// The file with the CAs that are trusted instead of the system's.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca.as_ref()?.file()
    }

    /// The file with our own certificate and those between it and its CA.
    #[must_use]
    pub fn client_certificate_file(&self) -> Option<&Path> {
        self.client.as_ref()?.chain.file()
    }

    /// The file with the key of our own certificate.
    #[must_use]
    pub fn client_key_file(&self) -> Option<&Path> {
        self.client.as_ref()?.key.file()
    }

    /// The name that the broker's certificate is to be for, if that is not the host in the URL.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }
}

impl Pem {
    fn text(pem: impl AsRef<[u8]>) -> Self {
        Self::Text(pem.as_ref().into())
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Pem {
    /// Where it is from, never what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Text(_) => f.write_str("the given PEM text"),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// For `amqps://` URLs. Files are read anew for each connection, so that a renewed certificate is used from the next one on;
/// one that cannot be read when the connections are started is reported at once. `memory://` ignores all of these; with `amqp://` they
/// are refused, because whoever sets them means to be encrypted.
impl ConnectOptions {
    /// Trusts the CAs in this PEM file, and no others. By default those of the system are trusted.
    ///
    /// ```
    /// use leveret::ConnectOptions;
    ///
    /// # #[cfg(feature = "rustls")] {
    /// let options: ConnectOptions = "amqps://app:s3cret@rabbit.internal/shop".parse()?;
    /// let options = options
    ///     .ca_file("/etc/shop/ca.pem")
    ///     .client_certificate_files("/etc/shop/client.pem", "/etc/shop/client.key");
    /// # drop(options);
    /// # }
    /// # Ok::<(), leveret::connect::InvalidOptions>(())
    /// ```
    #[must_use]
    pub fn ca_file(self, path: impl Into<PathBuf>) -> Self {
        self.with_tls(|tls| tls.ca = Some(Pem::File(path.into())))
    }

    /// Trusts the CAs in this PEM text, and no others.
    #[must_use]
    pub fn ca_pem(self, pem: impl AsRef<[u8]>) -> Self {
        self.with_tls(|tls| tls.ca = Some(Pem::text(pem)))
    }

    /// Shows the broker our own certificate: two PEM files, the first with the certificate and those between it and its CA, the
    /// second with its key, not encrypted. One file may hold both. By default none is shown.
    #[must_use]
    pub fn client_certificate_files(self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let client = ClientCertificate {
            chain: Pem::File(certificate.into()),
            key: Pem::File(key.into()),
        };
        self.with_tls(|tls| tls.client = Some(client))
    }

    /// As [`client_certificate_files`](Self::client_certificate_files), from PEM text.
    #[must_use]
    pub fn client_certificate_pem(self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        let client = ClientCertificate {
            chain: Pem::text(certificate),
            key: Pem::text(key),
        };
        self.with_tls(|tls| tls.client = Some(client))
    }

    /// The name that the broker's certificate is to be for, where that is not the host in the URL: behind a tunnel or a
    /// load balancer. By default the host.
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> Self {
        self.with_tls(|tls| tls.server_name = Some(name.into()))
    }

    /// What can be said of the options as a whole.
    pub(crate) fn check(&self) -> Result<(), InvalidOptions> {
        match &self.endpoint {
            Endpoint::Amqp(amqp) if !amqp.encrypted && amqp.tls != TlsSettings::default() => Err(InvalidOptions::new(
                "certificates or a server name are set, and the URL is amqp://, which is not encrypted: write amqps://, or leave them out",
            )),
            _ => Ok(()),
        }
    }

    fn with_tls(mut self, set: impl FnOnce(&mut TlsSettings)) -> Self {
        if let Endpoint::Amqp(amqp) = &mut self.endpoint {
            set(&mut amqp.tls);
        }
        self
    }
}
