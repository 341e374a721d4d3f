//! The deed: declaring, or only verifying, what a plan says, and explaining what stands in the way.

use std::fmt;

use crate::broker::{BrokerError, BrokerErrorKind, Declaration, Session};
use crate::connect::TopologyMode;

/// Makes sure that what a plan says is there, in the way that `mode` says. Nothing is ever deleted.
///
/// # Errors
/// [`TopologyError`] naming what failed and what to do about it.
pub async fn ensure(
    session: &dyn Session,
    mode: TopologyMode,
    declarations: &[Declaration],
) -> Result<(), TopologyError> {
    let result = match mode {
        TopologyMode::Declare => session.declare(declarations).await,
        TopologyMode::Verify => verify(session, declarations).await,
        TopologyMode::None => Ok(()),
    };
    result.map_err(|(at, error)| TopologyError {
        subject: describe(declarations.get(at)),
        error,
        mode,
    })
}

/// Asks whether each is there, then declares what is: an equal declaration changes nothing, a different one is refused.
async fn verify(session: &dyn Session, declarations: &[Declaration]) -> Result<(), (usize, BrokerError)> {
    for (at, declaration) in declarations.iter().enumerate() {
        let result = match declaration {
            Declaration::Exchange(exchange) => session.inspect_exchange(&exchange.name).await,
            Declaration::Queue(queue) => session.inspect(&queue.name).await.map(|_| ()),
            // A binding cannot be asked for over AMQP; declaring it is idempotent, but it would create it.
            Declaration::Binding(_) => continue,
        };
        result.map_err(|error| (at, error))?;
        session
            .declare(std::slice::from_ref(declaration))
            .await
            .map_err(|(_, error)| (at, error))?;
    }
    Ok(())
}

fn describe(declaration: Option<&Declaration>) -> String {
    match declaration {
        Some(Declaration::Exchange(exchange)) => format!("exchange '{}'", exchange.name),
        Some(Declaration::Queue(queue)) => format!("queue '{}'", queue.name),
        Some(Declaration::Binding(binding)) => {
            format!(
                "binding of queue '{}' to exchange '{}'",
                binding.queue, binding.exchange
            )
        }
        None => "topology".to_owned(),
    }
}

/// Something that a queue needs is not in the broker as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopologyError {
    subject: String,
    error: BrokerError,
    mode: TopologyMode,
}

impl TopologyError {
    /// Whether only a person can mend it: other arguments, no permission, nothing there in a mode that does not declare.
    #[must_use]
    pub fn is_final(&self) -> bool {
        // While its home node is down, RabbitMQ answers 404 for a classic queue that is being declared: that passes.
        let is_missing = self.error.kind() == BrokerErrorKind::NotFound && self.mode != TopologyMode::Declare;
        is_missing || self.error.needs_a_person()
    }

    /// What the broker said.
    #[must_use]
    pub fn broker_error(&self) -> &BrokerError {
        &self.error
    }

    /// The same as an error of the broker, with the explanation as its text.
    pub(crate) fn into_broker_error(self) -> BrokerError {
        let kind = if self.is_final() && !self.error.needs_a_person() {
            BrokerErrorKind::Mismatch
        } else {
            self.error.kind()
        };
        BrokerError::new(kind, self.to_string())
    }
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, error, mode } = self;
        match error.kind() {
            BrokerErrorKind::Mismatch => write!(
                f,
                "{subject} exists with other settings than this program wants ({error}); give the `Queue` the settings it was made \
                 with, use another queue name, or drain and delete the old one: Leveret never deletes"
            ),
            BrokerErrorKind::NotFound if *mode == TopologyMode::Verify => write!(
                f,
                "{subject} does not exist and the topology mode is `verify`, which declares nothing ({error}); create it, or use the mode `declare`"
            ),
            BrokerErrorKind::Permission => write!(
                f,
                "{subject} may not be declared by this user ({error}); grant `configure` on it, or create it beforehand and use the topology mode `none`"
            ),
            _ => write!(f, "{subject} could not be declared: {error}"),
        }
    }
}

impl std::error::Error for TopologyError {}
