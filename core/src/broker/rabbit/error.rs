//! The client's errors in the words of the seam.

use std::future::Future;
use std::io;
use std::time::Duration;

use lapin::protocol::AMQPError;
use lapin::types::ShortString;
use lapin::{ConnectionState, Error, ErrorKind};

use super::heard::Heard;
use crate::broker::{BrokerError, BrokerErrorKind};

/// The mistake that is made most.
const TLS_LISTENER: &str = "a TLS listener (port 5671 unless configured) is for amqps://";

/// An error of an open connection or of one of its channels.
pub(super) fn open(error: &Error) -> BrokerError {
    match error.kind() {
        ErrorKind::ProtocolError(reply) => BrokerError::new(kind_of(reply), reply.get_message().as_str()),
        ErrorKind::IOError(cause) | ErrorKind::RuntimeShutdownError(cause) => {
            BrokerError::new(BrokerErrorKind::Transport, format!("the connection was lost: {cause}"))
        }
        ErrorKind::MissingHeartbeatError => BrokerError::new(
            BrokerErrorKind::Transport,
            "the connection was lost: the broker was silent for two heartbeat intervals",
        ),
        ErrorKind::InvalidConnectionState(ConnectionState::Closing | ConnectionState::Closed) => {
            BrokerError::new(BrokerErrorKind::Closed, "the connection is closed")
        }
        ErrorKind::InvalidConnectionState(_) => BrokerError::new(BrokerErrorKind::Transport, "the connection is gone"),
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidChannel(_) => channel_gone(),
        // None of the others holds more than the client's own fixed words.
        _ => BrokerError::new(BrokerErrorKind::Protocol, error.to_string()),
    }
}

/// The channel is gone and nobody said why.
pub(super) fn channel_gone() -> BrokerError {
    BrokerError::new(BrokerErrorKind::Transport, "the channel is gone")
}

/// Whether the error says only that something is gone, and another may know why.
pub(super) fn is_aftermath(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidChannel(_) | ErrorKind::InvalidConnectionState(_)
    )
}

/// An error of the handshake, where 403 means the login and 530 the vhost.
pub(super) fn handshake(error: &Error, username: &str, vhost: &str) -> BrokerError {
    match error.kind() {
        ErrorKind::ProtocolError(reply) if reply.get_id() == 403 => BrokerError::new(
            BrokerErrorKind::Authentication,
            format!(
                "user `{username}` is not let in; check user name and password ({})",
                reply.get_message()
            ),
        ),
        ErrorKind::ProtocolError(reply) if reply.get_id() == 530 => BrokerError::new(
            BrokerErrorKind::Authentication,
            format!(
                "user `{username}` is not let into vhost `{vhost}`; check that it exists and that the user may use it ({})",
                reply.get_message()
            ),
        ),
        ErrorKind::ParsingError(_) => BrokerError::new(
            BrokerErrorKind::Protocol,
            format!("what answers there does not speak AMQP 0-9-1; {TLS_LISTENER}"),
        ),
        // There was no connection yet that could be lost.
        ErrorKind::IOError(cause) => BrokerError::new(BrokerErrorKind::Transport, cause.to_string()),
        _ => open(error),
    }
}

/// A connection that stood and ended in the midst of the handshake, with what had come before.
pub(super) fn cut_short(cause: Option<&io::Error>, heard: Heard, encrypted: bool) -> BrokerError {
    let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
    let before = match (heard.amqp, encrypted) {
        (true, _) => String::new(),
        (false, true) => ", before a word of AMQP was heard".to_owned(),
        // Such a listener may hang up on what is no TLS before its answer is read.
        (false, false) => format!(", before a word of AMQP was heard; {TLS_LISTENER}"),
    };
    let text = format!("the connection was closed in the midst of the handshake{cause}{before}");
    BrokerError::new(BrokerErrorKind::Transport, text)
}

/// What to say when each of the hosts has failed. While one of them may come back by itself, that decides how soon to try again.
pub(super) fn all_hosts(failures: &[BrokerError]) -> BrokerError {
    let passing = failures.iter().find(|error| !error.is_refusal());
    let Some(deciding) = passing.or(failures.first()) else {
        return BrokerError::new(BrokerErrorKind::Transport, "the broker URL names no host");
    };
    let texts: Vec<_> = failures.iter().map(ToString::to_string).collect();
    BrokerError::new(deciding.kind(), texts.join("; "))
}

fn kind_of(reply: &AMQPError) -> BrokerErrorKind {
    match reply.get_id() {
        // These end the connection. Its channels had no part in it, so none of their publishes is to be suspected.
        320 | 402 | 501..=599 => BrokerErrorKind::Transport,
        403 => BrokerErrorKind::Permission,
        404 => BrokerErrorKind::NotFound,
        405 => BrokerErrorKind::Mismatch,
        406 if reply.get_message().as_str().contains("delivery acknowledgement") => BrokerErrorKind::Overdue,
        406 if is_about_a_message(reply.get_message().as_str()) => BrokerErrorKind::Protocol,
        406 => BrokerErrorKind::Mismatch,
        _ => BrokerErrorKind::Protocol,
    }
}

/// RabbitMQ answers 406 both for a declaration that does not fit and for these.
fn is_about_a_message(text: &str) -> bool {
    ["delivery tag", "message size"]
        .iter()
        .any(|words| text.contains(words))
}

/// A name as the protocol takes it.
pub(super) fn short(name: &str) -> Result<ShortString, BrokerError> {
    ShortString::try_new(name).map_err(|_| {
        let text = format!(
            "AMQP allows 255 bytes for a name, key or property, and one has {}",
            name.len()
        );
        BrokerError::new(BrokerErrorKind::Protocol, text)
    })
}

/// Waits for the broker's answer, but not for ever: the client itself has no deadline anywhere.
pub(super) async fn within<T>(
    deadline: Duration,
    doing: &str,
    rpc: impl Future<Output = lapin::Result<T>>,
) -> Result<T, BrokerError> {
    match tokio::time::timeout(deadline, rpc).await {
        Ok(answer) => answer.map_err(|error| open(&error)),
        Err(_) => {
            let text = format!("{doing}: the broker did not answer within {deadline:?}");
            Err(BrokerError::new(BrokerErrorKind::Timeout, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use lapin::protocol::{AMQPError, AMQPErrorKind};

    use super::*;

    fn reply(code: u16, text: &str) -> Error {
        let kind = AMQPErrorKind::from_id(code).expect("a code of the protocol");
        ErrorKind::ProtocolError(AMQPError::new(kind, text.into())).into()
    }

    #[test]
    fn replies_of_the_broker_become_the_kinds_that_decide_something() {
        for (code, text, expected) in [
            (
                320,
                "CONNECTION_FORCED - broker forced connection closure",
                BrokerErrorKind::Transport,
            ),
            (
                403,
                "ACCESS_REFUSED - access to queue 'a' refused",
                BrokerErrorKind::Permission,
            ),
            (404, "NOT_FOUND - no queue 'a' in vhost '/'", BrokerErrorKind::NotFound),
            (405, "RESOURCE_LOCKED - exclusive", BrokerErrorKind::Mismatch),
            (
                406,
                "PRECONDITION_FAILED - inequivalent arg 'x-queue-type'",
                BrokerErrorKind::Mismatch,
            ),
            (
                406,
                "PRECONDITION_FAILED - unknown delivery tag 5",
                BrokerErrorKind::Protocol,
            ),
            (
                406,
                "PRECONDITION_FAILED - message size 9 is larger than",
                BrokerErrorKind::Protocol,
            ),
            (
                406,
                "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out",
                BrokerErrorKind::Overdue,
            ),
            (540, "NOT_IMPLEMENTED - x", BrokerErrorKind::Transport),
        ] {
            let error = open(&reply(code, text));
            assert_eq!((error.kind(), error.to_string().as_str()), (expected, text));
        }
    }

    #[test]
    fn an_error_that_ends_the_connection_accuses_no_publish() {
        // Of 320 and 402 the operator is the cause, of the others any channel on the connection may be.
        for code in [320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541] {
            let error = open(&reply(code, "the connection ends"));
            assert_eq!(error.kind(), BrokerErrorKind::Transport, "{code}");
            assert!(!error.is_our_doing(), "{code}");
        }
    }

    #[test]
    fn at_the_handshake_a_refusal_is_about_who_we_are() {
        for code in [403, 530] {
            assert_eq!(
                handshake(&reply(code, "refused"), "app", "/").kind(),
                BrokerErrorKind::Authentication
            );
        }
        assert_eq!(
            handshake(&reply(541, "x"), "app", "/").kind(),
            BrokerErrorKind::Transport
        );
    }

    #[test]
    fn each_host_is_named_and_one_that_may_come_back_decides_the_kind() {
        let refused = BrokerError::new(BrokerErrorKind::Tls, "a: expired");
        let away = BrokerError::new(BrokerErrorKind::Timeout, "b: silent");

        let mixed = all_hosts(&[refused.clone(), away]);
        let hopeless = all_hosts(&[refused.clone(), refused]);

        assert_eq!(
            (mixed.kind(), mixed.to_string().as_str()),
            (BrokerErrorKind::Timeout, "a: expired; b: silent")
        );
        assert_eq!(hopeless.kind(), BrokerErrorKind::Tls);
    }
}
