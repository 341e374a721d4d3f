//! Who we are to the broker: a name and a password, or somebody who is asked for them.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::endpoint::{Endpoint, Secret};
use super::options::ConnectOptions;

/// A user name and a password, or a name and a token. Its `Debug` shows the name alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(crate) username: String,
    pub(crate) password: Secret,
}

impl Credentials {
    /// A user name and a password. For OAuth 2 the password is the token, and the broker takes the name from it.
    #[must_use]
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            password: Secret(password.into()),
        }
    }

    /// The user name.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }
}

/// What an asked provider gives in the end.
pub(crate) type Answer = Result<Credentials, Box<dyn Error + Send + Sync>>;

/// Who is asked for the credentials of each connection.
#[derive(Clone)]
pub(crate) struct Provider(Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>);

#[cfg(feature = "rabbitmq")]
impl Provider {
    /// Asks. Both the call and the future are the application's code.
    pub(crate) async fn ask(&self) -> Answer {
        (self.0)().await
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}

impl PartialEq for Provider {
    /// The same one, not one that would say the same.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Provider {}

impl ConnectOptions {
    /// The user name and password, where they do not come from the URL. A `memory://` broker has none and ignores them.
    #[must_use]
    pub fn credentials(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        if let Endpoint::Amqp(amqp) = &mut self.endpoint {
            amqp.username = username.into();
            amqp.password = Secret(password.into());
            amqp.provider = None;
        }
        self
    }

    /// Asks for user name and password anew for each connection, the first one and each that replaces a lost one: for
    /// passwords that are rotated, for Vault, for OAuth 2 tokens. It wins over what the URL says. By default nobody is asked.
    ///
    /// ```
    /// use leveret::ConnectOptions;
    /// use leveret::connect::Credentials;
    ///
    /// let options = ConnectOptions::default().credentials_provider(|| async {
    ///     let password = std::fs::read_to_string("/run/secrets/rabbitmq")?; // or ask a vault, and await its answer
    ///     Ok(Credentials::new("app", password.trim_end()))
    /// });
    /// # drop(options);
    /// ```
    ///
    /// It runs on the Tokio runtime that the connection was started from, so that it may use the application's clients, and has
    /// the connect deadline to answer. If it fails, panics or is late, that is the reason shown for the missing connection, and it is
    /// asked again with the next try. What its error says is logged: it must not hold the password. A token that expires makes the
    /// broker end the connection; the next one asks for a new token.
    ///
    /// Options with a provider are equal to their clones, and to no others.
    #[must_use]
    pub fn credentials_provider<F, R>(mut self, provider: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Credentials, Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        if let Endpoint::Amqp(amqp) = &mut self.endpoint {
            amqp.provider = Some(Provider(Arc::new(move || Box::pin(provider()))));
        }
        self
    }
}
