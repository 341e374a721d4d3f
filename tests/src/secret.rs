//! The password of the kit's nodes: a word that stands nowhere else, so that whatever shows it is found.
//!
//! Imports nothing but std: `xtask` includes this file too, and looks for the word in all that the suites print.

/// The password of the user `guest` on every node of the kit.
pub const PASSWORD: &str = "s3cret-hare";

/// User and password as they stand in a URL.
pub const LOGIN: &str = "guest:s3cret-hare";

/// The line that shows the password and its number, from 1, without the password itself.
pub fn shown_in(text: &str) -> Option<(usize, String)> {
    let ways = ways();
    let mut lines = (1..).zip(text.lines());
    let (number, line) = lines.find(|(_, line)| ways.iter().any(|way| line.contains(way)))?;
    Some((number, masked(line)))
}

/// A text without the password.
pub fn masked(text: &str) -> String {
    let mut text = text.to_owned();
    for way in ways() {
        text = text.replace(&way, "[THE PASSWORD]");
    }
    text
}

/// How a careless line would show it: as it is, percent-encoded, or as the list of its bytes.
fn ways() -> [String; 3] {
    let bytes: Vec<String> = PASSWORD.bytes().map(|byte| byte.to_string()).collect();
    [PASSWORD.to_owned(), PASSWORD.replace('-', "%2D"), bytes.join(", ")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_shows_the_password_is_found_and_does_not_show_it_again() {
        for shown in [PASSWORD.to_owned(), format!("{:?}", PASSWORD.as_bytes())] {
            let text = format!("fine\namqp://guest:{shown}@h\nfine");
            let (number, line) = shown_in(&text).expect("it is there");
            assert_eq!(number, 2);
            assert!(line.contains("amqp://guest:") && shown_in(&line).is_none(), "{line}");
        }
        assert_eq!(shown_in("amqp://guest:***@h"), None);
        assert!(LOGIN.ends_with(PASSWORD), "one password");
    }
}
