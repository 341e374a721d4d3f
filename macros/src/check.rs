//! Check: the rules that a model must keep. `leveret` has the same rules for names and times at run time; here they become
//! errors at the offending token.

use proc_macro2::Span;
use syn::{LitInt, LitStr};

use crate::attr::Key;
use crate::errors::Errors;
use crate::model::{Attempts, Model, QueueSource};

/// The longest job name in bytes: an AMQP short string.
const MAX_NAME: usize = 255;

/// The longest queue name in bytes: AMQP's 255 less what Leveret's derived names need.
const MAX_QUEUE_NAME: usize = 180;

/// The most digits in a time; more could not be counted in milliseconds.
const MAX_TIME_DIGITS: usize = 11;

/// Holds the model against every rule.
pub(crate) fn check(model: &Model, errors: &mut Errors) {
    check_name(&model.name, "the job's name", errors);
    check_aliases(model, errors);
    if let Some(QueueSource::Named(name)) = &model.queue {
        check_queue(name, errors);
    }
    if let Some(Attempts::Literal(number)) = &model.max_attempts {
        check_attempts(number, errors);
    }
    if let Some(text) = &model.timeout {
        let zero =
            "a timeout of zero would end every attempt before it begins; leave `timeout` out for the worker's limit";
        check_time(text, Key::Timeout, zero, errors);
    }
    if let Some(text) = &model.expires_in {
        let zero = "a job that expires at once is never run; leave `expires_in` out for one that does not expire";
        check_time(text, Key::ExpiresIn, zero, errors);
    }
}

fn check_name(name: &LitStr, what: &str, errors: &mut Errors) {
    if let Err(fault) = name_fault(&name.value(), MAX_NAME) {
        errors.push(error(name.span(), format!("{what} {fault}")));
    }
}

fn check_aliases(model: &Model, errors: &mut Errors) {
    let mut known = vec![model.name.value()];
    for alias in &model.aliases {
        check_name(alias, "the alias", errors);
        let value = alias.value();
        if value.is_empty() {
            continue;
        }
        if value == known[0] {
            errors.push(error(alias.span(), format!("`{value}` is the job's name already")));
        } else if known.contains(&value) {
            errors.push(error(alias.span(), format!("the alias `{value}` is given twice")));
        } else {
            known.push(value);
        }
    }
}

fn check_queue(name: &LitStr, errors: &mut Errors) {
    let value = name.value();
    if value.starts_with("amq.") {
        errors.push(error(
            name.span(),
            "queue names that begin with `amq.` belong to RabbitMQ",
        ));
    } else if let Err(fault) = name_fault(&value, MAX_QUEUE_NAME) {
        errors.push(error(name.span(), format!("the queue name {fault}")));
    }
}

fn check_attempts(number: &LitInt, errors: &mut Errors) {
    let is_u32 = matches!(number.suffix(), "" | "u32");
    match number.base10_parse::<u32>() {
        Ok(0) => errors.push(error(
            number.span(),
            "`max_attempts` counts the first run, so it is at least 1; `max_attempts = 1` means no retry",
        )),
        Ok(_) if is_u32 => {}
        _ => errors.push(error(number.span(), Key::MaxAttempts.usage())),
    }
}

fn check_time(text: &LitStr, key: Key, zero: &str, errors: &mut Errors) {
    match millis(&text.value()) {
        None => errors.push(error(text.span(), key.usage())),
        Some(0) => errors.push(error(text.span(), zero)),
        Some(_) => {}
    }
}

fn error(span: Span, message: impl std::fmt::Display) -> syn::Error {
    syn::Error::new(span, message)
}

/// What is wrong with a name that travels as an AMQP short string.
fn name_fault(name: &str, limit: usize) -> Result<(), String> {
    if name.is_empty() {
        Err("is empty".to_owned())
    } else if name.len() > limit {
        Err(format!("has {} bytes; {limit} are allowed", name.len()))
    } else if name.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        Err("contains a control character".to_owned())
    } else {
        Ok(())
    }
}

/// Reads a time such as `"30s"` as milliseconds.
pub(crate) fn millis(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > MAX_TIME_DIGITS {
        return None;
    }
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    // Eleven digits times the longest unit is below 2^63.
    number.parse::<u64>().ok().map(|number| number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_unit() {
        for (text, expected) in [
            ("0ms", Some(0)),
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("10m", Some(600_000)),
            ("12h", Some(43_200_000)),
            ("7d", Some(604_800_000)),
            ("99999999999d", Some(99_999_999_999 * 86_400_000)),
            ("999999999999d", None),
            ("", None),
            ("s", None),
            ("30", None),
            ("30 s", None),
            (" 30s", None),
            ("+30s", None),
            ("-30s", None),
            ("1.5s", None),
            ("30sec", None),
            ("30S", None),
            ("1h30m", None),
            ("٣s", None),
        ] {
            assert_eq!(millis(text), expected, "{text:?}");
        }
    }

    #[test]
    fn names_are_refused_for_the_reason_they_break() {
        let longest = "n".repeat(MAX_NAME);
        let too_long = "n".repeat(MAX_NAME + 1);
        for (name, expected) in [
            ("send_welcome", None),
            ("billing/häh? v2", None),
            (longest.as_str(), None),
            (too_long.as_str(), Some("has 256 bytes; 255 are allowed")),
            ("", Some("is empty")),
            ("two\nlines", Some("contains a control character")),
            ("\u{7f}", Some("contains a control character")),
        ] {
            assert_eq!(name_fault(name, MAX_NAME).err().as_deref(), expected, "{name:?}");
        }
    }
}
