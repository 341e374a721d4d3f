//! A build with TLS.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore};

use super::{Stream, explain, pem};
use crate::broker::{BrokerError, BrokerErrorKind};
use crate::connect::{AmqpEndpoint, ClientCertificate, Host, Pem, TlsSettings};

/// How to encrypt the connections to one cluster.
pub(in crate::broker::rabbit) struct Tls {
    settings: TlsSettings,
}

/// Ready to encrypt the connection to one host.
pub(in crate::broker::rabbit) struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// `None` where the connection is not to be encrypted.
    ///
    /// # Errors
    ///
    /// A certificate or key cannot be read or used.
    pub(in crate::broker::rabbit) fn of(endpoint: &AmqpEndpoint) -> Result<Option<Self>, BrokerError> {
        if !endpoint.is_encrypted() {
            return Ok(None);
        }
        let settings = endpoint.tls().clone();
        // Read once for nothing, so that a wrong path shows when the connections are started.
        match config(&settings) {
            Ok(_) => Ok(Some(Self { settings })),
            Err(error) => Err(refusal(format!("no encrypted connection can be opened: {error}"))),
        }
    }

    /// Reads certificates and keys anew: they are renewed while programs run. It blocks the thread for as long.
    pub(in crate::broker::rabbit) fn connector(&self, host: &Host) -> Result<Connector, BrokerError> {
        let name = self.settings.server_name().unwrap_or(host.name());
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            refusal(format!(
                "`{name}` is no name that a certificate can be for; set the server name"
            ))
        })?;
        let config = Arc::new(config(&self.settings)?);
        Ok(Connector { config, name })
    }

    /// What an error of the handshake means, if it is one of TLS. With TLS 1.3 the broker says what it thinks of our certificate only after
    /// the handshake, when the first bytes are read.
    pub(in crate::broker::rabbit) fn explain(&self, cause: &io::Error) -> Option<BrokerError> {
        let error = cause.get_ref()?.downcast_ref::<Error>()?;
        Some(refusal(explain::sentence(error, &self.settings)))
    }
}

impl Connector {
    pub(in crate::broker::rabbit) async fn encrypt(self, stream: TcpStream) -> io::Result<Stream> {
        let stream = TlsConnector::from(self.config).connect(self.name, stream).await;
        match stream {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(io::Error::new(
                error.kind(),
                "the connection was closed during the TLS handshake",
            )),
            Err(error) => Err(error),
        }
    }
}

fn refusal(text: impl Into<String>) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Tls, text)
}

fn config(settings: &TlsSettings) -> Result<ClientConfig, BrokerError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refusal(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots(settings.ca.as_ref())?);
    let Some(ClientCertificate { chain, key }) = &settings.client else {
        return Ok(config.with_no_client_auth());
    };
    let (certificates, private) = (pem::certificates(chain)?, pem::key(key)?);
    config
        .with_client_auth_cert(certificates, private)
        .map_err(|error| match error {
            Error::InconsistentKeys(_) => refusal(format!(
                "the client certificate ({chain}) and the key ({key}) do not belong together"
            )),
            error => refusal(format!("the client key ({key}) cannot be used: {error}")),
        })
}

fn roots(ca: Option<&Pem>) -> Result<RootCertStore, BrokerError> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = ca else {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            return Err(refusal(
                "this system has no CA certificates to trust; install them (ca-certificates) or set the broker's CA (`ca_file`, LEVERET_CA_FILE)",
            ));
        }
        return Ok(roots);
    };
    for certificate in pem::certificates(ca)? {
        roots
            .add(certificate)
            .map_err(|error| refusal(format!("a CA certificate in {ca} cannot be used: {error}")))?;
    }
    Ok(roots)
}
