//! What the broker says when it refuses something, in RabbitMQ's words.

use crate::broker::{BrokerError, BrokerErrorKind};

pub(super) fn no_queue(queue: &str) -> BrokerError {
    let text = format!("NOT_FOUND - no queue '{queue}' in vhost '/'");
    BrokerError::new(BrokerErrorKind::NotFound, text)
}

pub(super) fn no_exchange(exchange: &str) -> BrokerError {
    let text = format!("NOT_FOUND - no exchange '{exchange}' in vhost '/'");
    BrokerError::new(BrokerErrorKind::NotFound, text)
}

pub(super) fn default_exchange() -> BrokerError {
    let text = "ACCESS_REFUSED - operation not permitted on the default exchange";
    BrokerError::new(BrokerErrorKind::Permission, text)
}

/// Names with the prefix `amq.` are RabbitMQ's own.
pub(super) fn check_prefix(what: &str, name: &str) -> Result<(), BrokerError> {
    if !name.starts_with("amq.") {
        return Ok(());
    }
    let text = format!("ACCESS_REFUSED - {what} name '{name}' contains reserved prefix 'amq.*'");
    Err(BrokerError::new(BrokerErrorKind::Permission, text))
}

pub(super) fn inequivalent(argument: &str, subject: &str, received: &str, current: &str) -> BrokerError {
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg '{argument}' for {subject} in vhost '/': \
         received {received} but current is {current}"
    );
    BrokerError::new(BrokerErrorKind::Mismatch, text)
}

pub(super) fn invalid(argument: &str, queue: &str, why: &str) -> BrokerError {
    let text = format!("PRECONDITION_FAILED - invalid arg '{argument}' for queue '{queue}' in vhost '/': {why}");
    BrokerError::new(BrokerErrorKind::Mismatch, text)
}

pub(super) fn foreign(argument: &str, queue: &str, kind: &str) -> BrokerError {
    let text = format!(
        "PRECONDITION_FAILED - invalid arg '{argument}' for queue '{queue}' in vhost '/' of queue type rabbit_{kind}_queue"
    );
    BrokerError::new(BrokerErrorKind::Mismatch, text)
}

pub(super) fn unsupported(argument: &str, queue: &str) -> BrokerError {
    let text = format!("NOT_IMPLEMENTED - the in-memory broker cannot obey '{argument}' of queue '{queue}'");
    BrokerError::new(BrokerErrorKind::Protocol, text)
}

pub(super) fn forbidden() -> BrokerError {
    let text = "ACCESS_REFUSED - write access refused for user 'memory' in vhost '/'";
    BrokerError::new(BrokerErrorKind::Permission, text)
}

pub(super) fn lost() -> BrokerError {
    BrokerError::new(
        BrokerErrorKind::Transport,
        "the connection to the in-memory broker was lost",
    )
}

pub(super) fn refused() -> BrokerError {
    BrokerError::new(BrokerErrorKind::Transport, "the in-memory broker refuses connections")
}

pub(super) fn login() -> BrokerError {
    let text = "user `guest` is not let in; check user name and password (ACCESS_REFUSED - Login was refused using \
                authentication mechanism PLAIN. For details see the broker logfile.)";
    BrokerError::new(BrokerErrorKind::Authentication, text)
}

pub(super) fn no_answer(what: &str) -> BrokerError {
    let text = format!("the in-memory broker did not answer in time ({what})");
    BrokerError::new(BrokerErrorKind::Timeout, text)
}

pub(super) fn channel_killed() -> BrokerError {
    let text = "INTERNAL_ERROR - the in-memory broker closed the channel";
    BrokerError::new(BrokerErrorKind::Protocol, text)
}

pub(super) fn overdue() -> BrokerError {
    let text = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. This timeout value \
                can be configured, see consumers doc guide to learn more";
    BrokerError::new(BrokerErrorKind::Overdue, text)
}

pub(super) fn closed() -> BrokerError {
    BrokerError::new(BrokerErrorKind::Closed, "the connection was closed from this side")
}

pub(super) fn too_long(bytes: usize) -> BrokerError {
    let text = format!("AMQP allows 255 bytes for a name, key or property, and one has {bytes}");
    BrokerError::new(BrokerErrorKind::Protocol, text)
}

pub(super) fn too_large(frame: usize) -> BrokerError {
    let text = format!("its properties and headers take more than a frame of {frame} bytes");
    BrokerError::new(BrokerErrorKind::Protocol, text)
}
