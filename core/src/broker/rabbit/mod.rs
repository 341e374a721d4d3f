//! RabbitMQ behind the seam. This folder is the only place that names the client library, lapin; its own recovery is never
//! used, because a session is replaced and not repaired.
//!
//! Running order: `thread` (where the client's tasks run) → `login` (as whom) → `dial` (one handshake, to an address by `reach`, over `tls` on a `wire`, whose
//! `screen` keeps from the client what it cannot read; `heard` is what came so far, `cable` cuts it)
//! → `line` (a connection that lives) → `session` → `publisher`, `consumer` and `puller`. `acks`, `convert` and `error` are values in, values out.

mod acks;
#[cfg(feature = "testing")]
pub(crate) mod bytes;
mod cable;
mod consumer;
mod convert;
mod dial;
mod error;
mod health;
mod heard;
mod line;
mod login;
mod publisher;
mod puller;
mod quiet;
mod reach;
mod receipts;
mod screen;
mod session;
mod signal;
mod thread;
mod tls;
mod wire;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;

use self::dial::Dialer;
use self::login::Login;
use self::session::RabbitSession;
pub(crate) use self::thread::AmqpThread;
use self::tls::Tls;
use super::{Broker, BrokerError, BrokerErrorKind, Session};
use crate::connect::{AmqpEndpoint, ConnectOptions, Endpoint};

/// RabbitMQ: the nodes of one cluster.
pub(crate) struct RabbitBroker {
    endpoint: AmqpEndpoint,
    login: Login,
    dialer: Dialer,
    /// In seconds.
    heartbeat: u16,
}

impl RabbitBroker {
    /// A broker whose connections run on `thread`, which lives at least as long as they do.
    ///
    /// # Errors
    ///
    /// The options do not name a RabbitMQ, or a certificate or key of theirs cannot be used.
    pub(crate) fn new(options: &ConnectOptions, thread: Arc<AmqpThread>) -> Result<Self, BrokerError> {
        let Endpoint::Amqp(endpoint) = options.endpoint() else {
            let text = format!("{options} is no RabbitMQ; its URL begins with amqp:// or amqps://");
            return Err(BrokerError::new(BrokerErrorKind::Protocol, text));
        };
        let deadlines = options.deadlines();
        let login = Login::new(endpoint.clone(), thread.handle(), deadlines.connect);
        let dialer = Dialer {
            vhost: endpoint.vhost().to_owned(),
            tls: Tls::of(endpoint)?.map(Arc::new),
            deadlines,
            thread,
        };
        Ok(Self {
            endpoint: endpoint.clone(),
            login,
            dialer,
            heartbeat: options.heartbeat_seconds(),
        })
    }
}

impl RabbitBroker {
    /// Tries each host once.
    async fn dial(&self, name: &str, heartbeat: u16) -> Result<Arc<dyn Session>, BrokerError> {
        let credentials = self.login.credentials().await?;
        let hosts = self.endpoint.hosts();
        let first = fastrand::usize(..hosts.len().max(1));
        let mut failures = Vec::new();
        for host in hosts.iter().cycle().skip(first).take(hosts.len()) {
            match self.dialer.dial(host, &credentials, (name, heartbeat)).await {
                Ok(line) => return Ok(Arc::new(RabbitSession::new(line))),
                // The other nodes of the cluster know the same users.
                Err(error) if error.kind() == BrokerErrorKind::Authentication => return Err(error),
                Err(error) => failures.push(error),
            }
        }
        Err(error::all_hosts(&failures))
    }
}

#[async_trait]
impl Broker for RabbitBroker {
    async fn connect(&self, name: &str) -> Result<Arc<dyn Session>, BrokerError> {
        self.dial(name, self.heartbeat).await
    }

    async fn connect_to_lead(&self, name: &str) -> Result<Arc<dyn Session>, BrokerError> {
        self.dial(name, prompt(self.heartbeat)).await
    }

    fn runtime(&self) -> Option<Handle> {
        Some(self.dialer.thread.handle().clone())
    }
}

/// The heartbeat of a connection whose loss is to be noticed within two of `heartbeat`. RabbitMQ looks once in an interval and wants to
/// have found nothing twice: that is two to three intervals after the last byte.
fn prompt(heartbeat: u16) -> u16 {
    match heartbeat {
        0 => 0,
        // Half a second cannot be said.
        1 => 1,
        seconds => seconds - seconds.div_ceil(3),
    }
}

impl fmt::Debug for RabbitBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RabbitBroker({})", self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_prompt_heartbeats_are_no_more_than_two_usual_ones() {
        for heartbeat in 2..=u16::MAX {
            let prompt = u32::from(prompt(heartbeat));
            assert!(
                prompt > 0 && 3 * prompt <= 2 * u32::from(heartbeat),
                "{heartbeat} s: {prompt} s"
            );
        }
        assert_eq!([prompt(0), prompt(1), prompt(10)], [0, 1, 6]);
    }
}
