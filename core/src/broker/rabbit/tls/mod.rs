//! TLS on the socket, configured by ourselves: with ring, without touching the process's default crypto provider, and with errors that say what
//! is wrong.

#[cfg(feature = "rustls")]
mod explain;
#[cfg(not(feature = "rustls"))]
mod off;
#[cfg(feature = "rustls")]
mod on;
#[cfg(feature = "rustls")]
mod pem;

#[cfg(not(feature = "rustls"))]
pub(super) use off::Tls;
#[cfg(feature = "rustls")]
pub(super) use on::Tls;

use super::wire::Stream;
