//! Where and how Leveret connects: URLs, environment, deadlines and limits. Pure values; nothing here opens a connection.

mod endpoint;
mod env;
mod error;
mod options;
mod settings;
#[cfg(test)]
mod tests;
mod uri;

pub use endpoint::{AmqpEndpoint, Endpoint, Host};
pub use error::InvalidOptions;
pub use options::ConnectOptions;
pub use settings::{Deadlines, LedgerLimits, TopologyMode};
