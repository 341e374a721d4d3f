//! The shape of an error's text: what is the same each time it happens. Pure.

/// How much of a text counts.
const MAX_TEXT: usize = 2_000;

/// How long a shape may be, in characters.
const MAX_SHAPE: usize = 300;

/// How far apart, in characters, two quotes may be that belong together.
const MAX_QUOTED: usize = 200;

/// A mixture of letters and digits of this length is an id if it goes back and forth between them.
const ID_LENGTH: usize = 8;

/// Replaces what differs from one time to the next: numbers by `<n>`, ids and hex by `<id>`, quoted values by `"…"`, and blank space
/// of any kind by one space.
pub(super) fn shape(text: &str) -> String {
    let characters: Vec<char> = text.chars().take(MAX_TEXT).collect();
    let mut reader = Reader {
        text: &characters,
        at: 0,
        shape: String::new(),
    };
    reader.read();
    let shape = reader.shape.trim_end();
    shape.chars().take(MAX_SHAPE).collect()
}

struct Reader<'a> {
    text: &'a [char],
    at: usize,
    shape: String,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(&next) = self.text.get(self.at) {
            if is_part(next) {
                self.token();
            } else if next.is_whitespace() || next.is_control() {
                self.at += 1;
                if !self.shape.is_empty() && !self.shape.ends_with(' ') {
                    self.shape.push(' ');
                }
            } else if let Some(end) = self.end_of_quote(next) {
                self.shape.push_str("\"…\"");
                self.at = end + 1;
            } else {
                self.shape.push(next);
                self.at += 1;
            }
        }
    }

    /// Where a value that is quoted here ends. A quote within a word is an apostrophe.
    fn end_of_quote(&self, opening: char) -> Option<usize> {
        let closing = match opening {
            '\'' | '"' | '`' => opening,
            '“' => '”',
            '‘' => '’',
            '«' => '»',
            _ => return None,
        };
        if self.at > 0 && is_part(self.text[self.at - 1]) {
            return None;
        }
        let rest = &self.text[self.at + 1..];
        let within = rest.iter().take(MAX_QUOTED).position(|next| *next == closing)?;
        Some(self.at + 1 + within)
    }

    fn token(&mut self) {
        let begin = self.at;
        self.skip_token();
        if self.text[begin].is_ascii_digit() {
            // `1,000.5`, `12:30:07`, `127.0.0.1:5672`, `2026-11-22T10:00:00.5Z`: one number.
            while is_number(&self.text[begin..self.at]) && self.joins() {
                self.at += 1;
                self.skip_token();
            }
        }
        let token: String = self.text[begin..self.at].iter().collect();
        self.shape.push_str(&replaced(&token));
    }

    fn skip_token(&mut self) {
        while self.text.get(self.at).is_some_and(|next| is_part(*next)) {
            self.at += 1;
        }
    }

    /// Whether a sign stands here that joins two numbers.
    fn joins(&self) -> bool {
        let sign = self
            .text
            .get(self.at)
            .is_some_and(|next| matches!(next, '.' | ',' | ':'));
        sign && self.text.get(self.at + 1).is_some_and(char::is_ascii_digit)
    }
}

fn is_part(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

/// Whether it is a number, a date or a time: digits and what stands between them.
fn is_number(token: &[char]) -> bool {
    let all = |next: &char| next.is_ascii_digit() || matches!(next, '.' | ',' | ':' | '-' | 'T' | 'Z');
    token.iter().all(all) && token.iter().any(char::is_ascii_digit)
}

fn replaced(token: &str) -> String {
    let characters: Vec<char> = token.chars().collect();
    match token {
        _ if !token.contains(|next: char| next.is_ascii_digit()) => token.to_owned(),
        _ if is_number(&characters) => "<n>".to_owned(),
        _ if is_id(token) => "<id>".to_owned(),
        _ => without_digits(&characters),
    }
}

/// UUIDs, hex, and other mixtures of letters and digits that nobody would read out.
fn is_id(token: &str) -> bool {
    let hex = token.strip_prefix("0x").unwrap_or(token);
    let is_hex = hex.chars().all(|next| next.is_ascii_hexdigit() || next == '-');
    if is_hex && (hex.len() < token.len() || hex.len() >= ID_LENGTH) {
        return true;
    }
    let letters: Vec<char> = token.chars().filter(|next| next.is_alphanumeric()).collect();
    let changes = letters
        .windows(2)
        .filter(|two| two[0].is_ascii_digit() != two[1].is_ascii_digit());
    letters.len() >= ID_LENGTH && changes.count() >= 3
}

fn without_digits(token: &[char]) -> String {
    let mut text = String::new();
    for next in token {
        if !next.is_ascii_digit() {
            text.push(*next);
        } else if !text.ends_with("<n>") {
            text.push_str("<n>");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_differs_each_time_is_left_out() {
        for (text, expected) in [
            ("no mailbox", "no mailbox"),
            ("user 17 has no mailbox", "user <n> has no mailbox"),
            ("user_17 is gone", "user_<n> is gone"),
            ("30s are over", "<n>s are over"),
            ("it took 1,000.5 ms at 12:30:07", "it took <n> ms at <n>"),
            ("due 2026-11-22T10:00:00.25Z, now", "due <n>, now"),
            ("cannot reach 127.0.0.1:5672.", "cannot reach <n>."),
            ("job 0190163d-8694-739b-aea5-966c26f8ad91 lost", "job <id> lost"),
            ("at 0x7ffe and deadbeef01", "at <id> and <id>"),
            ("charge ch_3MtwBwLkdIwHu7ix failed", "charge <id> failed"),
            (
                "can't open 'a b.txt': it isn't there",
                "can't open \"…\": it isn't there",
            ),
            ("key \"x\" and `y` and “z”", "key \"…\" and \"…\" and \"…\""),
            ("an \"open quote", "an \"open quote"),
            ("  two\n\tlines \u{7}", "two lines"),
            ("größer als 5", "größer als <n>"),
            ("", ""),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn words_with_a_digit_stay_words() {
        assert_eq!(shape("utf8 by http2 with sha256"), "utf<n> by http<n> with sha<n>");
    }

    proptest! {
        #[test]
        fn any_text_has_a_shape_that_is_not_too_long(text in ".{0,400}") {
            prop_assert!(shape(&text).chars().count() <= MAX_SHAPE);
        }

        #[test]
        fn numbers_ids_and_quoted_values_make_no_difference(
            number in 0u64..,
            bytes in any::<u128>(),
            value in "[^'\"]{0,30}",
        ) {
            let told = |number: u64, bytes: u128, value: &str| {
                shape(&format!("user {number} with {bytes:032x} at '{value}': refused"))
            };
            prop_assume!(format!("{bytes:032x}").contains(|c: char| c.is_ascii_digit()));
            prop_assume!(format!("{bytes:032x}").contains(|c: char| c.is_ascii_alphabetic()));
            prop_assert_eq!(told(number, bytes, &value), told(1, 0xab1, "b"));
        }
    }
}
