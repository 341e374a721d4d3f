//! The broker as a leader connects to it: [`ToLead`].

use std::sync::Arc;

use async_trait::async_trait;

use crate::broker::{Broker, BrokerError, Session};

/// Opens connections that somebody leads by.
#[derive(Debug)]
pub(super) struct ToLead(pub(super) Arc<dyn Broker>);

#[async_trait]
impl Broker for ToLead {
    async fn connect(&self, name: &str) -> Result<Arc<dyn Session>, BrokerError> {
        self.0.connect_to_lead(name).await
    }
}
