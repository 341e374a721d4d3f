//! Why a job cannot be sent as it is: [`EnvelopeError`].

use std::fmt;

use super::limits::TooLarge;
use crate::name::NameError;

/// Why a job cannot be put into an envelope. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The job's own `Serialize` failed.
    Json {
        /// The job's name.
        job: &'static str,
        /// What it said. A `Serialize` written by hand should keep the job's contents out of it.
        detail: String,
    },
    /// The job's name cannot travel.
    JobName {
        /// Why.
        reason: NameError,
    },
    /// The id cannot travel.
    JobId {
        /// Why.
        reason: NameError,
    },
    /// The correlation id cannot travel.
    CorrelationId {
        /// Why.
        reason: NameError,
    },
    /// A header has a name that the application may not use.
    HeaderName {
        /// The name.
        name: String,
        /// Why; `None`: it lies in a space that belongs to Leveret or the broker.
        reason: Option<NameError>,
    },
    /// A header has a value that cannot travel.
    HeaderValue {
        /// The header's name.
        name: String,
        /// What is wrong with the value.
        fault: &'static str,
    },
    /// The message would be larger than the broker takes.
    TooLarge(TooLarge),
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json { job, detail } => write!(f, "job `{job}` cannot be written as JSON: {detail}"),
            Self::JobName { reason } => write!(f, "the job's name cannot be used: {reason}"),
            Self::JobId { reason } => write!(f, "the job's id cannot be used: {reason}"),
            Self::CorrelationId { reason } => write!(f, "the correlation id cannot be used: {reason}"),
            Self::HeaderName {
                name,
                reason: Some(reason),
            } => write!(f, "the header name {name:?} cannot be used: {reason}"),
            Self::HeaderName { name, reason: None } => write!(
                f,
                "the header name {name:?} cannot be used: `leveret-`, `x-`, `CC` and `BCC` belong to Leveret and the broker"
            ),
            Self::HeaderValue { name, fault } => write!(f, "the value of the header {name:?} cannot be used: {fault}"),
            Self::TooLarge(reason) => reason.fmt(f),
        }
    }
}

impl std::error::Error for EnvelopeError {}
