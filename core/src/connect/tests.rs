#[cfg(feature = "rustls")]
mod encrypted;
mod environment;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use self::environment::from_variables;
use super::{AmqpEndpoint, ConnectOptions, Credentials, Endpoint};

fn amqp(url: &str) -> AmqpEndpoint {
    match url.parse::<ConnectOptions>().expect(url).endpoint {
        Endpoint::Amqp(amqp) => amqp,
        other => panic!("{url} became {other:?}"),
    }
}

fn refusal(url: &str) -> String {
    url.parse::<ConnectOptions>().expect_err(url).to_string()
}

#[test]
fn every_part_of_a_url_may_be_missing_except_the_host() {
    for (url, hosts, vhost) in [
        ("amqp://h", "h:5672", "/"),
        ("amqp://h/", "h:5672", "/"),
        ("AMQP://h//", "h:5672", "/"),
        ("amqp://h/%2f", "h:5672", "/"),
        ("amqp://h/%2Fa%20b", "h:5672", "/a b"),
        ("amqp://h?heartbeat=5", "h:5672", "/"),
        (
            "amqp://h1,h2:5673,[::1]:5674,[fe80::1]/v",
            "h1:5672 h2:5673 [::1]:5674 [fe80::1]:5672",
            "v",
        ),
        ("amqp://127.0.0.1:1/häh", "127.0.0.1:1", "häh"),
    ] {
        let endpoint = amqp(url);
        let shown: Vec<_> = endpoint.hosts.iter().map(ToString::to_string).collect();
        assert_eq!(
            (shown.join(" ").as_str(), endpoint.vhost.as_str()),
            (hosts, vhost),
            "{url}"
        );
    }
}

#[test]
fn user_name_and_password_are_percent_decoded() {
    for (url, username, password) in [
        ("amqp://h", "guest", "guest"),
        ("amqp://app@h", "app", "guest"),
        ("amqp://app:@h", "app", ""),
        ("amqp://app:a%40b%2Fc@h", "app", "a@b/c"),
        ("amqp://app:a@b,c@h1,h2", "app", "a@b,c"),
        ("amqp://a%3Ab:c:d@h", "a:b", "c:d"),
    ] {
        let endpoint = amqp(url);
        assert_eq!(
            (endpoint.username.as_str(), endpoint.password.0.as_str()),
            (username, password),
            "{url}"
        );
    }
}

#[test]
fn a_url_that_can_be_read_in_two_ways_is_refused() {
    for (url, part) in [
        ("", "begins with"),
        ("h:5672", "begins with"),
        ("http://h", "begins with"),
        ("amqp://", "a host"),
        ("amqp://u:p@", "a host"),
        ("amqp://h1,,h2", "a host"),
        ("amqp://h h", "a host"),
        ("amqp://h:0", "a port"),
        ("amqp://h:+5", "a port"),
        ("amqp://h:65536", "a port"),
        ("amqp://::1", "a host"),
        ("amqp://[::1", "IPv6"),
        ("amqp://[::1]5672", "IPv6"),
        ("amqp://[h]:5672", "IPv6"),
        ("amqp://h/a/b", "%2F"),
        ("amqp://u:1/2@h", "percent-encoded"),
        ("amqp://u:1?2@h", "percent-encoded"),
        ("amqp://u:1#2@h", "percent-encoded"),
        ("amqp://h/%ff", "UTF-8"),
        ("amqp://a%00b:c@h", "zero byte"),
        ("amqp://h?heartbeat=x", "`heartbeat`"),
        ("amqp://h?heartbeat=65536", "`heartbeat`"),
        ("amqp://h?connection_timeout=-1", "`connection_timeout`"),
        ("amqp://h?heartbeet=5", "none of"),
        ("amqp://h?verify=verify_none", "`verify`"),
        ("memory://a/b", "memory://name"),
    ] {
        let text = refusal(url);
        assert!(text.contains(part), "{url}: {text}");
    }
}

#[test]
fn memory_urls_name_a_broker_or_the_shared_one() {
    for (url, expected) in [("memory://", ""), ("memory://orders", "orders")] {
        let options: ConnectOptions = url.parse().expect(url);
        assert_eq!(options.endpoint, Endpoint::Memory { name: expected.into() });
        assert_eq!(options.to_string(), url);
    }
}

#[test]
fn certificates_without_encryption_are_refused_and_a_broker_in_memory_ignores_them() {
    let ca = ("LEVERET_CA_FILE", "/ca.pem");
    let by_setter = ConnectOptions::default().ca_file("/ca.pem").check();
    for refused in [
        by_setter.map(|()| ConnectOptions::default()),
        "amqp://h?cacertfile=/ca.pem".parse(),
        from_variables(&[("AMQP_URL", "amqp://h"), ca]),
    ] {
        let text = refused.expect_err("not encrypted").to_string();
        assert!(text.contains("amqps://"), "{text}");
    }
    from_variables(&[("AMQP_URL", "memory://"), ca]).expect("ignored");
}

#[test]
fn options_are_equal_by_their_values_and_by_the_one_provider_they_share() {
    let ask = || async { Ok(Credentials::new("app", "s3cret")) };
    let asking = ConnectOptions::default().credentials_provider(ask);

    assert_eq!(asking, asking.clone());
    assert_ne!(asking, ConnectOptions::default().credentials_provider(ask));
    assert_eq!(asking.credentials("guest", "guest"), ConnectOptions::default());
}

#[test]
fn what_is_secret_shows_in_no_output() {
    let options = ConnectOptions::default()
        .credentials("app", "hunter-2")
        .client_certificate_pem("a chain", "a key");
    let shown = format!("{options} {options:?} {:?}", Credentials::new("app", "hunter-2"));
    assert!(!shown.contains("hunter-2") && !shown.contains("a key"), "{shown}");
}

#[cfg(not(feature = "rustls"))]
#[test]
fn without_the_feature_an_encrypted_url_is_refused_and_the_text_names_it() {
    let text = refusal("amqps://h");
    assert!(text.contains("`rustls`"), "{text}");
}

#[test]
fn a_prefix_is_checked_where_it_is_set() {
    for (prefix, fine) in [("shop", true), ("", false), ("amq.x", false), ("a\nb", false)] {
        assert_eq!(ConnectOptions::default().prefix(prefix).is_ok(), fine, "{prefix:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(scheme in "amqps?://|memory://|", rest in any::<String>()) {
        let _ = format!("{scheme}{rest}").parse::<ConnectOptions>();
    }

    #[test]
    fn a_password_shows_in_no_error_and_no_output(password in "[ -~]{6,20}", encoded in any::<bool>(), tail in "(|/|/v|:1/v|:x|/%ff|\\?q=1)") {
        let written = match encoded {
            true => utf8_percent_encode(&password, NON_ALPHANUMERIC).to_string(),
            false => password.clone(),
        };
        let shown = match format!("amqp://u:{written}@h{tail}").parse::<ConnectOptions>() {
            Ok(options) => format!("{options} {options:?}"),
            Err(error) => format!("{error} {error:?}"),
        };

        prop_assert!(!shown.contains(&password) && !shown.contains(&written), "{}", shown);
    }

    #[test]
    fn an_encoded_url_gives_back_what_was_encoded(user in "[^\\x00]{1,20}", password in "[^\\x00]{0,20}", vhost in "\\P{Cc}{1,20}") {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let url = format!("amqp://{}:{}@h/{}", encode(&user), encode(&password), encode(&vhost));

        let endpoint = amqp(&url);

        prop_assert_eq!(endpoint.username, user);
        prop_assert_eq!(endpoint.password.0, password);
        prop_assert_eq!(endpoint.vhost, vhost);
    }
}
