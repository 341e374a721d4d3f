//! Options from environment variables.

use std::ffi::OsString;
use std::time::Duration;

use super::error::InvalidOptions;
use super::options::ConnectOptions;
use super::query;
use super::settings::TopologyMode;
use super::uri::{Parsed, invalid};

/// Builds options from whatever `lookup` knows of the variables.
pub(super) fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Parsed<ConnectOptions> {
    let variables = Variables(&lookup);
    let Some(url) = variables.text("AMQP_URL")? else {
        let reason = "is not set; set it to a URL such as amqp://user:password@host:5672/vhost";
        return Err(InvalidOptions::variable("AMQP_URL", reason));
    };
    let parsed = url
        .parse()
        .map_err(|error: InvalidOptions| error.of_variable("AMQP_URL"));
    let options = variables.connection(parsed?)?;
    let options = variables.deadlines(options)?;
    let options = variables.topology(options)?;
    let options = variables.certificates(options)?;
    options.check()?;
    Ok(options)
}

/// The environment, looked at one variable at a time.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<OsString>);

impl Variables<'_> {
    fn connection(&self, options: ConnectOptions) -> Parsed<ConnectOptions> {
        let reason = "is not a whole number of seconds from 0 to 65535";
        let options = match self.parsed("LEVERET_HEARTBEAT", reason, query::seconds)? {
            Some(interval) => options.heartbeat(interval),
            None => options,
        };
        Ok(match self.text("LEVERET_CONNECTION_NAME")? {
            Some(name) => options.connection_name(name),
            None => options,
        })
    }

    fn deadlines(&self, mut options: ConnectOptions) -> Parsed<ConnectOptions> {
        let deadlines = &mut options.deadlines;
        for (name, deadline) in [
            ("LEVERET_STARTUP_DEADLINE", &mut deadlines.startup),
            ("LEVERET_CONNECT_DEADLINE", &mut deadlines.connect),
            ("LEVERET_RPC_DEADLINE", &mut deadlines.rpc),
            ("LEVERET_CONFIRM_DEADLINE", &mut deadlines.confirm),
            ("LEVERET_CLOSE_DEADLINE", &mut deadlines.close),
        ] {
            let reason = "is not a number of seconds such as 10 or 0.5";
            if let Some(seconds) = self.parsed(name, reason, fractional_seconds)? {
                *deadline = seconds;
            }
        }
        Ok(options)
    }

    fn topology(&self, options: ConnectOptions) -> Parsed<ConnectOptions> {
        let reason = "is none of declare, minimal, verify and none";
        let options = match self.parsed("LEVERET_TOPOLOGY", reason, TopologyMode::named)? {
            Some(mode) => options.topology(mode),
            None => options,
        };
        match self.text("LEVERET_PREFIX")? {
            Some(prefix) => options.prefix(prefix).map_err(|_| {
                let reason = "has more than 64 bytes, a control character, or begins with `amq.`";
                InvalidOptions::variable("LEVERET_PREFIX", reason)
            }),
            None => Ok(options),
        }
    }

    fn certificates(&self, mut options: ConnectOptions) -> Parsed<ConnectOptions> {
        if let Some(path) = self.get("LEVERET_CA_FILE") {
            options = options.ca_file(path);
        }
        if let Some(name) = self.text("LEVERET_SERVER_NAME")? {
            options = options.server_name(name);
        }
        match (
            self.get("LEVERET_CLIENT_CERT_FILE"),
            self.get("LEVERET_CLIENT_KEY_FILE"),
        ) {
            (Some(certificate), Some(key)) => Ok(options.client_certificate_files(certificate, key)),
            (None, None) => Ok(options),
            _ => invalid(
                "the environment variables LEVERET_CLIENT_CERT_FILE and LEVERET_CLIENT_KEY_FILE go together; one file may be both",
            ),
        }
    }

    /// One that is empty is not set: that is how deployment files leave one out.
    fn get(&self, name: &str) -> Option<OsString> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &'static str) -> Parsed<Option<String>> {
        let text = self.get(name).map(OsString::into_string).transpose();
        text.map_err(|_| InvalidOptions::variable(name, "is not UTF-8"))
    }

    fn parsed<T>(&self, name: &'static str, reason: &'static str, parse: fn(&str) -> Option<T>) -> Parsed<Option<T>> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        parse(&text).map(Some).ok_or(InvalidOptions::variable(name, reason))
    }
}

fn fractional_seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}
