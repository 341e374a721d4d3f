//! Where and how Leveret connects: URLs, environment, deadlines and limits. Pure values; nothing here opens a connection.

mod convert;
mod credentials;
mod endpoint;
mod env;
mod error;
mod options;
mod query;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod uri;

pub use credentials::Credentials;
#[cfg(feature = "rabbitmq")]
pub(crate) use credentials::Provider;
pub use endpoint::{AmqpEndpoint, Endpoint, Host};
pub use error::InvalidOptions;
pub use options::ConnectOptions;
pub use settings::{Deadlines, LedgerLimits, TopologyMode};
pub use tls::TlsSettings;
#[cfg(feature = "rustls")]
pub(crate) use tls::{ClientCertificate, Pem};
