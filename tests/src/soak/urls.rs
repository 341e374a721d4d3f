//! Several addresses of one broker.

/// One address with all hosts, of several that differ in nothing else: `amqp://u:p@a,amqp://u:p@b/v` is `amqp://u:p@a,b/v`.
///
/// The parts may be hosts alone too: `amqp://u:p@a,b:5673`.
///
/// # Errors
///
/// If the first is no address, or two have different logins or virtual hosts. The error names none of them.
pub fn one_of(text: &str) -> Result<String, String> {
    let mut parts = text.split(',');
    let first = Address::read(parts.next().unwrap_or_default()).ok_or("the first part of --url is no URL")?;
    let mut hosts = vec![first.host];
    let mut path = first.path;
    for part in parts {
        let Some(next) = Address::read(part) else {
            let (host, tail) = part.split_at(part.find(['/', '?']).unwrap_or(part.len()));
            hosts.push(host);
            path = if tail.is_empty() { path } else { tail };
            continue;
        };
        if (next.scheme, next.login) != (first.scheme, first.login) {
            return Err("the parts of --url differ in their scheme or login".to_owned());
        }
        if !next.path.is_empty() && !path.is_empty() && next.path != path {
            return Err("the parts of --url differ in their virtual host".to_owned());
        }
        hosts.push(next.host);
        path = if next.path.is_empty() { path } else { next.path };
    }
    Ok(format!("{}://{}{}{path}", first.scheme, first.login, hosts.join(",")))
}

#[derive(Debug, Clone, Copy)]
struct Address<'a> {
    scheme: &'a str,
    /// With the `@`, if there is one.
    login: &'a str,
    host: &'a str,
    /// The virtual host and the query, with their slash.
    path: &'a str,
}

impl Address<'_> {
    fn read(text: &str) -> Option<Address<'_>> {
        let (scheme, rest) = text.split_once("://")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (login, host) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        Some(Address {
            scheme,
            login,
            host,
            path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_of_several_addresses_become_those_of_one() {
        for (several, one) in [
            ("amqp://localhost", "amqp://localhost"),
            ("amqp://u:p@a:1/v?heartbeat=2", "amqp://u:p@a:1/v?heartbeat=2"),
            ("amqp://u:p@a:1,amqp://u:p@b:2", "amqp://u:p@a:1,b:2"),
            ("amqp://u:p@a,amqp://u:p@b/v", "amqp://u:p@a,b/v"),
            ("amqp://u:p@a/v,amqp://u:p@b/v,amqp://u:p@c/v", "amqp://u:p@a,b,c/v"),
            ("amqp://u:p@a,b:2/v", "amqp://u:p@a,b:2/v"),
            ("amqp://[::1]:5672,amqp://[::2]:5672", "amqp://[::1]:5672,[::2]:5672"),
        ] {
            assert_eq!(one_of(several).as_deref(), Ok(one));
        }
    }

    #[test]
    fn addresses_of_different_brokers_are_refused_without_a_word_of_them() {
        for several in [
            "",
            "localhost",
            "amqp://u:p@a,amqp://u:q@b",
            "amqp://u:p@a,amqps://u:p@b",
            "amqp://u:p@a/v,amqp://u:p@b/w",
        ] {
            let error = one_of(several).unwrap_err();
            assert!(!error.contains("u:p"), "{error}");
        }
    }
}
