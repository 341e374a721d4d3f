use std::time::Duration;

use super::super::env::from_lookup;
use super::super::{ConnectOptions, InvalidOptions, TopologyMode};

pub(super) fn from_variables(variables: &[(&str, &str)]) -> Result<ConnectOptions, InvalidOptions> {
    from_lookup(|name| {
        let (_, value) = variables.iter().find(|(key, _)| *key == name)?;
        Some(value.into())
    })
}

#[test]
fn each_variable_sets_its_option_and_an_empty_one_none() {
    let url = ("AMQP_URL", "amqp://h?connection_name=url&connection_timeout=1");
    let options = from_variables(&[
        url,
        ("LEVERET_CONNECTION_NAME", "env"),
        ("LEVERET_CONNECT_DEADLINE", "0.5"),
        ("LEVERET_STARTUP_DEADLINE", "60"),
        ("LEVERET_RPC_DEADLINE", "1"),
        ("LEVERET_CONFIRM_DEADLINE", "2"),
        ("LEVERET_CLOSE_DEADLINE", "3"),
        ("LEVERET_TOPOLOGY", "verify"),
        ("LEVERET_PREFIX", "shop"),
    ])
    .expect("well set");
    let unset = from_variables(&[url, ("LEVERET_CONNECTION_NAME", ""), ("LEVERET_CA_FILE", "")]).expect("well set");

    let deadlines = options.deadlines();
    let millis = [
        deadlines.startup,
        deadlines.connect,
        deadlines.rpc,
        deadlines.confirm,
        deadlines.close,
    ]
    .map(|deadline| deadline.as_millis());
    assert_eq!(millis, [60_000, 500, 1_000, 2_000, 3_000]);
    assert_eq!((options.name(), options.name_prefix()), ("env", "shop"));
    assert_eq!(options.topology_mode(), TopologyMode::Verify);
    assert_eq!(unset.name(), "url");
    assert_eq!(unset, url.1.parse().expect("a URL"));
}

#[test]
fn a_variable_that_says_nonsense_is_named_and_not_quoted() {
    for (name, value) in [
        ("LEVERET_HEARTBEAT", "-1"),
        ("LEVERET_RPC_DEADLINE", "soon"),
        ("LEVERET_CLOSE_DEADLINE", "-2"),
        ("LEVERET_TOPOLOGY", "Declare"),
        ("LEVERET_PREFIX", "amq.shop"),
        ("LEVERET_CLIENT_KEY_FILE", "/alone.key"),
    ] {
        let text = from_variables(&[("AMQP_URL", "amqp://h"), (name, value)])
            .expect_err(name)
            .to_string();
        assert!(text.contains(name) && !text.contains(value), "{text}");
    }
}

#[test]
fn a_setter_beats_the_environment_which_beats_the_query_which_beats_the_default() {
    let with = |url: &'static str, heartbeat: Option<&'static str>| {
        from_lookup(move |name| match name {
            "AMQP_URL" => Some(url.into()),
            "LEVERET_HEARTBEAT" => heartbeat.map(Into::into),
            _ => None,
        })
    };

    let default = with("amqp://h", None).expect("default");
    let query = with("amqp://h?heartbeat=5", None).expect("query");
    let environment = with("amqp://h?heartbeat=5", Some("7")).expect("environment");
    let setter = environment.clone().heartbeat(Duration::from_millis(8_001));

    let seconds = [&default, &query, &environment, &setter].map(ConnectOptions::heartbeat_seconds);
    assert_eq!(seconds, [10, 5, 7, 9]);
}

#[test]
fn the_environment_is_refused_when_it_says_nothing_or_nonsense() {
    let unset = from_lookup(|_| None).expect_err("no URL");
    let nonsense =
        from_lookup(|name| Some(if name == "AMQP_URL" { "amqp://h" } else { "soon" }.into())).expect_err("soon");

    assert!(unset.to_string().contains("AMQP_URL"), "{unset}");
    assert!(nonsense.to_string().contains("LEVERET_HEARTBEAT"), "{nonsense}");
}

#[test]
fn a_url_that_cannot_be_used_is_told_with_its_variable_and_not_quoted() {
    let error = from_variables(&[("AMQP_URL", "http://app:s3cret@h")]).expect_err("no broker");
    let text = error.to_string();
    assert!(text.starts_with("the environment variable AMQP_URL: "), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn a_heartbeat_that_no_protocol_can_say_is_the_longest_there_is() {
    let options = ConnectOptions::default().heartbeat(Duration::MAX);
    assert_eq!(options.heartbeat_seconds(), u16::MAX);
}

#[test]
fn every_topology_mode_has_its_name() {
    for (name, mode) in [
        ("declare", TopologyMode::Declare),
        ("minimal", TopologyMode::Minimal),
        ("verify", TopologyMode::Verify),
        ("none", TopologyMode::None),
    ] {
        let options = from_variables(&[("AMQP_URL", "amqp://h"), ("LEVERET_TOPOLOGY", name)]).expect(name);
        assert_eq!(options.topology_mode(), mode);
    }
}
