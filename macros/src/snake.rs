//! The default name of a job: its type's name in snake_case.

/// A capital begins a word unless it stands in a run of capitals; there only the last one does, if a small letter follows.
/// Digits belong to the word before them. Underscores stay.
pub(crate) fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (at, letter) in letters.iter().enumerate() {
        if letter.is_uppercase() && at > 0 && begins_word(letters[at - 1], letters.get(at + 1).copied()) {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

fn begins_word(before: char, after: Option<char>) -> bool {
    before != '_' && (!before.is_uppercase() || after.is_some_and(char::is_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_names_become_snake_case() {
        for (name, expected) in [
            ("SendWelcome", "send_welcome"),
            ("Ping", "ping"),
            ("A", "a"),
            ("AB", "ab"),
            ("ABc", "a_bc"),
            ("HTTPPing", "http_ping"),
            ("PingHTTP", "ping_http"),
            ("HTTP2Ping", "http2_ping"),
            ("SendV2Mail", "send_v2_mail"),
            ("MailV2", "mail_v2"),
            ("Sha256Sum", "sha256_sum"),
            ("MD5SUM", "md5_sum"),
            ("X509", "x509"),
            ("OAuth2Token", "o_auth2_token"),
            ("send_welcome", "send_welcome"),
            ("Send_Welcome", "send_welcome"),
            ("Send__Welcome", "send__welcome"),
            ("_Hidden", "_hidden"),
            ("__", "__"),
            ("ÄpfelZählen", "äpfel_zählen"),
            ("送信Mail", "送信_mail"),
        ] {
            assert_eq!(snake_case(name), expected, "{name}");
        }
    }

    #[test]
    fn a_name_in_snake_case_stays_as_it_is() {
        for name in ["send_welcome", "http2_ping", "_hidden", "a", "äpfel"] {
            assert_eq!(snake_case(name), name);
        }
    }
}
