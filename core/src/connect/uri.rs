//! URLs, strictly: what could be read in two ways is refused, because the second way may put a password where it shows.

use std::net::Ipv6Addr;

use percent_encoding::percent_decode_str;

use super::endpoint::{AmqpEndpoint, Endpoint, Host, Secret};
use super::error::InvalidOptions;
use super::options::ConnectOptions;
use super::query;
use super::tls::TlsSettings;
use crate::name::MAX_SHORT_STRING;

pub(super) const PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;
pub(super) const GUEST: &str = "guest";

const SCHEMES: &str = "a broker URL begins with amqp://, amqps:// or memory://";

pub(super) type Parsed<T> = Result<T, InvalidOptions>;

pub(super) const fn invalid<T>(reason: &'static str) -> Parsed<T> {
    Err(InvalidOptions::new(reason))
}

pub(super) fn parse(url: &str) -> Parsed<ConnectOptions> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return invalid(SCHEMES);
    };
    match scheme.to_ascii_lowercase().as_str() {
        "amqp" => amqp(rest, false),
        "amqps" if cfg!(feature = "rustls") => amqp(rest, true),
        "amqps" => invalid(
            "amqps:// needs TLS, and this build of leveret has none: build it with its feature `rustls`; it does not fall back to \
             an unencrypted connection",
        ),
        "memory" => memory(rest),
        _ => invalid(SCHEMES),
    }
}

fn memory(name: &str) -> Parsed<ConnectOptions> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.chars().all(plain) {
        return invalid("the name in memory://name has letters, digits, `-`, `_` and `.` only");
    }
    Ok(ConnectOptions::new(Endpoint::Memory { name: name.to_owned() }))
}

fn amqp(rest: &str, encrypted: bool) -> Parsed<ConnectOptions> {
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = address.split_once('/').unwrap_or((address, ""));
    // A raw `/`, `?` or `#` in a password ends the authority early and leaves the `@` behind it.
    if rest.contains('#') || path.contains('@') || query.contains('@') {
        return invalid(
            "`/`, `?`, `#` and `@` are percent-encoded in the user name, password, vhost and query of a broker URL (%2F, %3F, %23, %40)",
        );
    }
    let (userinfo, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (username, password) = credentials(userinfo)?;
    let options = ConnectOptions::new(Endpoint::Amqp(AmqpEndpoint {
        hosts: hosts_of(hosts, if encrypted { TLS_PORT } else { PORT })?,
        vhost: vhost(path)?,
        username,
        password,
        provider: None,
        encrypted,
        tls: TlsSettings::default(),
    }));
    let options = query::apply(options, query)?;
    options.check()?;
    Ok(options)
}

fn credentials(userinfo: &str) -> Parsed<(String, Secret)> {
    if userinfo.is_empty() {
        return Ok((GUEST.to_owned(), Secret(GUEST.to_owned())));
    }
    let (username, password) = userinfo.split_once(':').unwrap_or((userinfo, GUEST));
    let (username, password) = (decode(username)?, decode(password)?);
    if username.contains('\0') || password.contains('\0') || username.len() > MAX_SHORT_STRING {
        return invalid("the user name is longer than 255 bytes, or it or the password holds a zero byte");
    }
    Ok((username, Secret(password)))
}

fn vhost(path: &str) -> Parsed<String> {
    // `amqp://host//` is how some clients write the vhost `/`.
    if path.is_empty() || path == "/" {
        return Ok("/".to_owned());
    }
    if path.contains('/') {
        return invalid("a `/` in the vhost of a broker URL is written %2F");
    }
    let vhost = decode(path)?;
    if vhost.len() > MAX_SHORT_STRING || vhost.chars().any(char::is_control) {
        return invalid("the vhost is longer than 255 bytes or holds a control character");
    }
    Ok(vhost)
}

pub(super) fn decode(text: &str) -> Parsed<String> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => invalid("a percent-encoded part of the broker URL is not UTF-8"),
    }
}

fn hosts_of(list: &str, default_port: u16) -> Parsed<Vec<Host>> {
    list.split(',').map(|text| host(text, default_port)).collect()
}

fn host(text: &str, default_port: u16) -> Parsed<Host> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => ipv6(rest)?,
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if name.is_empty() || !name.chars().all(plain) {
        return invalid(
            "a host in the broker URL is missing or is not a host name, an IPv4 address or an [IPv6 address]",
        );
    }
    Ok(Host {
        name: name.to_owned(),
        port: port_of(port, default_port)?,
    })
}

/// The address and the port behind it, if any, of `::1]:5672`.
fn ipv6(text: &str) -> Parsed<(&str, &str)> {
    const REASON: &str = "an IPv6 address in the broker URL is written in brackets, [::1] or [::1]:5672";
    let Some((address, rest)) = text.split_once(']') else {
        return invalid(REASON);
    };
    if address.parse::<Ipv6Addr>().is_err() {
        return invalid(REASON);
    }
    match rest.strip_prefix(':') {
        Some(port) if !port.is_empty() => Ok((address, port)),
        None if rest.is_empty() => Ok((address, "")),
        _ => invalid(REASON),
    }
}

fn port_of(text: &str, default_port: u16) -> Parsed<u16> {
    if text.is_empty() {
        return Ok(default_port);
    }
    match text.parse() {
        Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => invalid("a port in the broker URL is not a number from 1 to 65535"),
    }
}
