//! Broker URLs, and what is shown of them.

use leveret::ConnectOptions;
use leveret::connect::Endpoint;

use super::MARKER;

/// Takes any input: a URL, in which a line break stands for the password.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let url = text.replace('\n', MARKER);
    let options = match url.parse::<ConnectOptions>() {
        Ok(options) => options,
        Err(error) => return super::keeps_secret(&format!("{error} {error:?}")),
    };
    let shown = format!("{options} {options:?} {:?}", options.endpoint());
    if shown.contains(MARKER) {
        assert!(is_no_password(&options), "shows it: {shown}");
    }
    // What is shown is a URL again, and means the same but for the password and the query.
    let again: ConnectOptions = options.to_string().parse().expect("what is shown is a URL");
    match (options.endpoint(), again.endpoint()) {
        (Endpoint::Amqp(before), Endpoint::Amqp(after)) => {
            assert_eq!(before.hosts(), after.hosts());
            assert_eq!((before.vhost(), before.username()), (after.vhost(), after.username()));
            assert_eq!(before.is_encrypted(), after.is_encrypted());
            assert!(!before.hosts().is_empty());
        }
        (before, after) => assert_eq!(before, after),
    }
}

/// Whether the marker stands where nobody would look for a password.
fn is_no_password(options: &ConnectOptions) -> bool {
    let beside = match options.endpoint() {
        Endpoint::Amqp(amqp) => {
            amqp.username().contains(MARKER)
                || amqp.vhost().contains(MARKER)
                || amqp.hosts().iter().any(|host| host.name().contains(MARKER))
                || format!("{:?}", amqp.tls()).contains(MARKER)
        }
        _ => options.to_string().contains(MARKER),
    };
    beside || options.name().contains(MARKER)
}
