//! As whom to connect: what the options say, or what their provider says now.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::broker::{BrokerError, BrokerErrorKind};
use crate::connect::{AmqpEndpoint, Credentials, Provider};

/// Knows the credentials, or whom to ask.
pub(super) struct Login {
    endpoint: AmqpEndpoint,
    /// Where the application's provider runs: on its own runtime, where its clients are at home.
    runtime: Handle,
    deadline: Duration,
}

impl Login {
    /// `runtime` serves where there is none to be found here.
    pub(super) fn new(endpoint: AmqpEndpoint, runtime: &Handle, deadline: Duration) -> Self {
        Self {
            endpoint,
            runtime: Handle::try_current().unwrap_or_else(|_| runtime.clone()),
            deadline,
        }
    }

    /// The credentials for the next connection.
    ///
    /// # Errors
    ///
    /// The provider failed, panicked or was late, or what it gave cannot be sent.
    pub(super) async fn credentials(&self) -> Result<Credentials, BrokerError> {
        let credentials = match &self.endpoint.provider {
            None => self.endpoint.credentials(),
            Some(provider) => self.ask(provider.clone()).await?,
        };
        if credentials.username.contains('\0') || credentials.password.reveal().contains('\0') {
            let text = "cannot log in: the user name or the password holds a zero byte";
            return Err(BrokerError::new(BrokerErrorKind::Authentication, text));
        }
        Ok(credentials)
    }

    async fn ask(&self, provider: Provider) -> Result<Credentials, BrokerError> {
        // A task of its own, so that a panic ends it and nothing else; aborted when this future is dropped.
        let mut asking = JoinSet::new();
        asking.spawn_on(async move { provider.ask().await }, &self.runtime);
        let (kind, why) = match tokio::time::timeout(self.deadline, asking.join_next()).await {
            Ok(Some(Ok(Ok(credentials)))) => return Ok(credentials),
            Ok(Some(Ok(Err(error)))) => (BrokerErrorKind::Transport, error.to_string()),
            Ok(Some(Err(error))) if error.is_panic() => (BrokerErrorKind::Transport, "it panicked".to_owned()),
            Ok(_) => (
                BrokerErrorKind::Transport,
                "the runtime that it runs on is gone".to_owned(),
            ),
            Err(_) => (
                BrokerErrorKind::Timeout,
                format!("no answer within {:?}", self.deadline),
            ),
        };
        let text = format!("cannot log in, because the credentials provider failed: {why}");
        Err(BrokerError::new(kind, text))
    }
}
