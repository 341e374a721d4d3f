use std::path::Path;

use super::environment::from_variables;
use super::*;

#[test]
fn an_encrypted_url_has_a_port_of_its_own_and_stays_what_it_is() {
    let url = "amqps://app:x@h1,h2:5673,[::1]/shop";
    let endpoint = amqp(url);
    assert!(endpoint.is_encrypted() && !amqp("amqp://h").is_encrypted());
    assert_eq!(endpoint.to_string(), "amqps://app:***@h1:5671,h2:5673,[::1]:5671/shop");
}

#[test]
fn a_setter_beats_the_environment_which_beats_the_query_for_certificates_too() {
    let tls = |options: &ConnectOptions| match options.endpoint() {
        Endpoint::Amqp(amqp) => amqp.tls().clone(),
        other => panic!("{other:?}"),
    };
    let url = "amqps://h?cacertfile=/url%20ca.pem&certfile=/url.pem&keyfile=/url.key&server_name_indication=url";
    let query = from_variables(&[("AMQP_URL", url)]).expect("query");
    let environment = from_variables(&[
        ("AMQP_URL", url),
        ("LEVERET_CA_FILE", "/env.pem"),
        ("LEVERET_SERVER_NAME", "env"),
        ("LEVERET_CLIENT_CERT_FILE", "/env-client.pem"),
        ("LEVERET_CLIENT_KEY_FILE", "/env-client.key"),
    ])
    .expect("environment");
    let setter = environment.clone().ca_file("/set.pem").server_name("set");

    assert_eq!(tls(&query).ca_file(), Some(Path::new("/url ca.pem")));
    assert_eq!(tls(&query).client_certificate_file(), Some(Path::new("/url.pem")));
    assert_eq!(tls(&environment).ca_file(), Some(Path::new("/env.pem")));
    assert_eq!(tls(&environment).client_key_file(), Some(Path::new("/env-client.key")));
    assert_eq!(tls(&setter).ca_file(), Some(Path::new("/set.pem")));
    let names = [&query, &environment, &setter].map(|options| tls(options).server_name().map(str::to_owned));
    assert_eq!(names.map(Option::unwrap_or_default), ["url", "env", "set"]);
}

#[test]
fn half_a_client_certificate_is_refused() {
    let text = refusal("amqps://h?certfile=/c.pem");
    assert!(text.contains("`keyfile`"), "{text}");
}
