//! Where a worker gets its connections from: [`Source`].

use leveret::{ConnectOptions, Rabbit};

/// Where a worker gets its connections from: a URL or [`ConnectOptions`], for connections of its own, or a [`Rabbit`] that it shares
/// with the rest of the process. Made by `From` from each of them.
#[derive(Debug)]
pub struct Source(Result<Connection, String>);

/// What is left of a source once it has been read.
#[derive(Debug)]
pub(crate) enum Connection {
    /// To be opened, and closed again, by the worker.
    Own(Box<ConnectOptions>),
    /// Opened by the application, which closes it.
    Shared(Rabbit),
}

impl Source {
    pub(crate) fn resolve(self) -> Result<Connection, String> {
        self.0
    }

    fn own(options: Result<ConnectOptions, leveret::InvalidOptions>) -> Self {
        match options {
            Ok(options) => Self(Ok(Connection::Own(Box::new(options)))),
            Err(error) => Self(Err(format!("the URL cannot be used: {error}"))),
        }
    }
}

impl From<&str> for Source {
    fn from(url: &str) -> Self {
        Self::own(url.parse())
    }
}

impl From<String> for Source {
    fn from(url: String) -> Self {
        Self::own(url.parse())
    }
}

impl From<&String> for Source {
    fn from(url: &String) -> Self {
        Self::own(url.parse())
    }
}

impl From<ConnectOptions> for Source {
    fn from(options: ConnectOptions) -> Self {
        Self::own(Ok(options))
    }
}

impl From<&Rabbit> for Source {
    fn from(rabbit: &Rabbit) -> Self {
        Self(Ok(Connection::Shared(rabbit.clone())))
    }
}

impl From<Rabbit> for Source {
    fn from(rabbit: Rabbit) -> Self {
        Self(Ok(Connection::Shared(rabbit)))
    }
}
