//! The deed: declaring, or only verifying, what a plan says, and explaining what stands in the way.

use std::fmt;

use super::mismatch::Difference;
use super::policy;
use crate::broker::{BrokerError, BrokerErrorKind, Declaration, Session};
use crate::connect::TopologyMode;
use crate::queue::Queue;

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
        TopologyMode::Minimal => {
            let bare: Vec<Declaration> = declarations.iter().map(policy::bare).collect();
            session.declare(&bare).await
        }
        TopologyMode::Verify => verify(session, declarations).await.map(drop),
        TopologyMode::None => Ok(()),
    };
    result.map_err(|(at, error)| TopologyError {
        subject: describe(declarations.get(at)),
        error,
        mode,
    })
}

/// Asks whether each is there as the plan says, and changes nothing. `false`: not all of it could be asked for.
pub(crate) async fn verified(session: &dyn Session, declarations: &[Declaration]) -> Result<bool, TopologyError> {
    verify(session, declarations)
        .await
        .map_err(|(at, error)| TopologyError {
            subject: describe(declarations.get(at)),
            error,
            mode: TopologyMode::Verify,
        })
}

/// Asks whether each is there, and changes nothing: for what is published where nobody awaits its arrival, in a mode that relies on others to
/// have declared all. What cannot be asked for counts as there.
pub(crate) async fn look(session: &dyn Session, declarations: &[Declaration]) -> Result<(), TopologyError> {
    for declaration in declarations {
        let there = match declaration {
            Declaration::Exchange(exchange) => session.inspect_exchange(&exchange.name).await,
            Declaration::Queue(queue) => session.inspect(&queue.name).await.map(drop),
            Declaration::Binding(_) | Declaration::ExchangeBinding(_) => continue,
        };
        allowed(there).map_err(|error| TopologyError {
            subject: describe(Some(declaration)),
            error,
            mode: TopologyMode::None,
        })?;
    }
    Ok(())
}

/// Asks whether each is there, then declares what is: an equal declaration changes nothing, a different one is refused.
/// What this user may not ask is left unverified: `false`.
async fn verify(session: &dyn Session, declarations: &[Declaration]) -> Result<bool, (usize, BrokerError)> {
    let mut unverified = Vec::new();
    for (at, declaration) in declarations.iter().enumerate() {
        match verify_one(session, declaration).await {
            Ok(true) => {}
            Ok(false) => unverified.push(describe(Some(declaration))),
            Err(error) => return Err((at, error)),
        }
    }
    if !unverified.is_empty() {
        tracing::info!(
            unverified = listed(&unverified),
            "AMQP does not let this user see all of the topology"
        );
    }
    Ok(unverified.is_empty())
}

/// The first of them: the ladder alone has 59 bindings.
fn listed(unverified: &[String]) -> String {
    const SHOWN: usize = 5;
    match unverified.len().saturating_sub(SHOWN) {
        0 => unverified.join(", "),
        more => format!("{}, and {more} more", unverified[..SHOWN].join(", ")),
    }
}

/// `false`: it could not be asked for.
async fn verify_one(session: &dyn Session, declaration: &Declaration) -> Result<bool, BrokerError> {
    let there = match declaration {
        Declaration::Exchange(exchange) => session.inspect_exchange(&exchange.name).await,
        Declaration::Queue(queue) => session.inspect(&queue.name).await.map(drop),
        // A binding cannot be asked for over AMQP; declaring it is idempotent, but it would create it.
        Declaration::Binding(_) | Declaration::ExchangeBinding(_) => return Ok(false),
    };
    // From 4.3 on already the question needs the right to `configure`.
    if !allowed(there)? {
        return Ok(false);
    }
    let equal = session.declare(std::slice::from_ref(declaration)).await;
    allowed(equal.map_err(|(_, error)| error))
}

fn allowed(result: Result<(), BrokerError>) -> Result<bool, BrokerError> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == BrokerErrorKind::Permission => Ok(false),
        Err(error) => Err(error),
    }
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
        Some(Declaration::ExchangeBinding(binding)) => {
            format!(
                "binding of exchange '{}' to exchange '{}'",
                binding.destination, binding.source
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
    /// Nothing could be asked.
    pub(crate) fn no_connection(queue: &Queue, error: BrokerError) -> Self {
        Self {
            subject: format!("queue '{}'", queue.name()),
            error,
            mode: TopologyMode::default(),
        }
    }

    /// Whether only a person can mend it: other arguments, no permission, nothing there in a mode that does not declare.
    #[must_use]
    pub fn is_final(&self) -> bool {
        // While its home node is down, RabbitMQ answers 404 for a classic queue that is being declared: that passes.
        let is_missing = self.error.kind() == BrokerErrorKind::NotFound && !self.mode.declares();
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
            BrokerErrorKind::Mismatch => mismatch(f, subject, error),
            BrokerErrorKind::NotFound if *mode == TopologyMode::Verify => write!(
                f,
                "{subject} does not exist and the topology mode is `verify`, which declares nothing ({error}); create it, or use the mode `declare`"
            ),
            BrokerErrorKind::NotFound if *mode == TopologyMode::None => write!(
                f,
                "{subject} does not exist and the topology mode is `none`, which declares nothing ({error}); create it, or use the mode `declare`"
            ),
            BrokerErrorKind::Permission => write!(
                f,
                "{subject} may not be declared by this user ({error}); grant `configure` on it, or create it beforehand and use the topology mode `none`"
            ),
            _ => write!(f, "{subject} could not be declared: {error}"),
        }
    }
}

/// Which setting, what is there, what was wanted, what to do.
fn mismatch(f: &mut fmt::Formatter<'_>, subject: &str, error: &BrokerError) -> fmt::Result {
    let Some(difference) = Difference::read(&error.to_string()) else {
        return write!(
            f,
            "{subject} is not what this program wants ({error}); use another name, or remove it: Leveret never deletes"
        );
    };
    let Difference { setting, wanted, there } = &difference;
    let remedy = difference.remedy();
    write!(
        f,
        "{subject} exists with other settings than this program wants: `{setting}` is {there} there, and {wanted} was wanted. Give the \
         `Queue` the settings that are there ({remedy}), use another queue name, or drain and delete the old one: Leveret never deletes"
    )
}

impl std::error::Error for TopologyError {}
