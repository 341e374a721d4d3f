//! What went wrong in a TLS handshake, and what to do, in one sentence. Pure.

use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

use crate::connect::TlsSettings;

pub(super) fn sentence(error: &Error, settings: &TlsSettings) -> String {
    match error {
        Error::InvalidCertificate(error) => broker_certificate(error, settings),
        Error::AlertReceived(alert) => alert_received(*alert, settings),
        Error::InvalidMessage(_) => {
            "what answers there does not speak TLS; amqps:// is for a TLS listener of the broker (port 5671 unless \
             configured), amqp:// for a plain one"
                .to_owned()
        }
        error => format!("the TLS handshake failed: {error}"),
    }
}

/// Why we do not accept the broker's certificate.
fn broker_certificate(error: &CertificateError, settings: &TlsSettings) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            let trusted = match &settings.ca {
                Some(ca) => format!("{ca} does not hold the CA that signed it"),
                None => "this system does not trust the CA that signed it".to_owned(),
            };
            format!("the broker's certificate is not trusted: {trusted}; set the right CA (`ca_file`, LEVERET_CA_FILE)")
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the broker's certificate is not for `{}`, only for {}; connect by a name that it is for, or say which one it \
             shall be for (`server_name`, LEVERET_SERVER_NAME)",
            expected.to_str(),
            names(presented)
        ),
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the broker's certificate, or that of its CA, expired {} ago; renew it (if it is valid, this machine's clock is wrong)",
            span(*not_after, *time)
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the broker's certificate, or that of its CA, becomes valid in {} only; is this machine's clock right?",
            span(*time, *not_before)
        ),
        error => format!("the broker's certificate cannot be accepted: {error}"),
    }
}

/// Why the broker broke the handshake off.
fn alert_received(alert: AlertDescription, settings: &TlsSettings) -> String {
    let set_one = "set one (`client_certificate_files`, LEVERET_CLIENT_CERT_FILE and LEVERET_CLIENT_KEY_FILE)";
    let Some(client) = &settings.client else {
        return match alert {
            AlertDescription::CertificateRequired => format!("the broker demands a client certificate; {set_one}"),
            // What TLS 1.2 has for that.
            AlertDescription::HandshakeFailure => {
                format!(
                    "the broker broke the TLS handshake off, as it does if it demands a client certificate; if so, {set_one}"
                )
            }
            alert => format!("the broker broke the TLS handshake off: {alert:?}"),
        };
    };
    let chain = &client.chain;
    match alert {
        AlertDescription::UnknownCA => format!(
            "the broker refuses the client certificate ({chain}): it does not trust the CA that signed it, or the chain lacks a \
             certificate in between"
        ),
        AlertDescription::CertificateExpired => {
            format!("the broker refuses the client certificate ({chain}): it has expired; renew it")
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied
        | AlertDescription::HandshakeFailure => {
            format!("the broker refuses the client certificate ({chain}): {alert:?}; its log says more")
        }
        alert => format!("the broker broke the TLS handshake off: {alert:?}"),
    }
}

/// `DnsName("a")`, as the TLS library writes a name, without the wrapping.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        format!("`{}`", inner.unwrap_or(name).trim_matches('"'))
    };
    match presented {
        [] => "no name at all (it has no subjectAltName)".to_owned(),
        names => names.iter().map(bare).collect::<Vec<_>>().join(", "),
    }
}

fn span(from: UnixTime, to: UnixTime) -> String {
    let seconds = to.as_secs().saturating_sub(from.as_secs());
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_rustls::rustls::InvalidMessage;
    use tokio_rustls::rustls::pki_types::ServerName;

    use super::*;
    use crate::connect::{ConnectOptions, Endpoint};

    fn settings(set: impl FnOnce(ConnectOptions) -> ConnectOptions) -> TlsSettings {
        match set(ConnectOptions::default()).endpoint() {
            Endpoint::Amqp(amqp) => amqp.tls().clone(),
            other => panic!("{other:?}"),
        }
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn the_reason_for_refusing_the_broker_says_what_to_do() {
        let plain = settings(|options| options);
        let own_ca = settings(|options| options.ca_file("/etc/ca.pem"));
        let name = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("10.0.0.7").expect("an address"),
            presented: vec!["DnsName(\"rabbit\")".to_owned(), "IpAddress(10.0.0.8)".to_owned()],
        };
        let expired = CertificateError::ExpiredContext {
            time: at(1_000_000),
            not_after: at(1_000_000 - 3 * 86_400),
        };
        let early = CertificateError::NotValidYetContext {
            time: at(0),
            not_before: at(600),
        };
        for (error, settings, parts) in [
            (
                CertificateError::UnknownIssuer,
                &plain,
                ["this system", "LEVERET_CA_FILE"],
            ),
            (
                CertificateError::UnknownIssuer,
                &own_ca,
                ["/etc/ca.pem", "LEVERET_CA_FILE"],
            ),
            (
                name,
                &plain,
                ["`10.0.0.7`, only for `rabbit`, `10.0.0.8`", "LEVERET_SERVER_NAME"],
            ),
            (expired, &plain, ["expired 3 days ago", "renew"]),
            (early, &plain, ["in 10 min", "clock"]),
        ] {
            let text = sentence(&Error::InvalidCertificate(error), settings);
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }

    #[test]
    fn an_alert_is_about_the_client_certificate_where_there_is_one_or_should_be() {
        let without = settings(|options| options);
        let with = settings(|options| options.client_certificate_files("/c.pem", "/c.key"));
        for (alert, settings, part) in [
            (
                AlertDescription::CertificateRequired,
                &without,
                "demands a client certificate",
            ),
            (AlertDescription::HandshakeFailure, &without, "LEVERET_CLIENT_CERT_FILE"),
            (AlertDescription::ProtocolVersion, &without, "ProtocolVersion"),
            (AlertDescription::UnknownCA, &with, "(/c.pem): it does not trust the CA"),
            (AlertDescription::CertificateExpired, &with, "(/c.pem): it has expired"),
            (AlertDescription::BadCertificate, &with, "(/c.pem): BadCertificate"),
            (AlertDescription::ProtocolVersion, &with, "ProtocolVersion"),
        ] {
            let text = sentence(&Error::AlertReceived(alert), settings);
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_plain_listener_is_recognized() {
        let text = sentence(
            &Error::InvalidMessage(InvalidMessage::InvalidContentType),
            &settings(|options| options),
        );
        assert!(text.contains("does not speak TLS"), "{text}");
    }
}
