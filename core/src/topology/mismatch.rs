//! Reads what RabbitMQ says when something is there with other settings. Pure.

use super::plan::NO_DELIVERY_LIMIT;

/// One setting that is not as it was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// `x-delivery-limit`, `durable`, `type` …
    pub(super) setting: String,
    pub(super) wanted: String,
    pub(super) there: String,
}

impl Difference {
    /// Finds it in the broker's words: `inequivalent arg 'x-delivery-limit' for queue 'mail' in vhost '/': received '5' but
    /// current is '100'`, where either value may also be `none` or `the value '5' of type 'long'`. RabbitMQ names the first
    /// difference that it meets, never more.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("inequivalent arg '")?;
        let (setting, rest) = rest.split_once('\'')?;
        // Names may hold these words too: the last place where they stand is the broker's own.
        let (_, values) = rest.rsplit_once(": received ")?;
        let (wanted, there) = values.split_once(" but current is ")?;
        Some(Self {
            setting: setting.to_owned(),
            wanted: value(wanted),
            there: value(there),
        })
    }

    /// What in a program sets it.
    pub(super) fn remedy(&self) -> &'static str {
        const OTHER_MODE: &str =
            "it was made by a program with another topology mode, or by hand: use one mode for all";
        let endless = NO_DELIVERY_LIMIT.to_string();
        let is_missing = [&*self.wanted, &*self.there].contains(&"none");
        match self.setting.as_str() {
            "x-delivery-limit" if [&self.wanted, &self.there].contains(&&endless) => OTHER_MODE,
            // A program that declares in full never leaves these out.
            "x-delivery-limit"
            | "x-dead-letter-exchange"
            | "x-dead-letter-routing-key"
            | "x-overflow"
            | "alternate-exchange"
                if is_missing =>
            {
                OTHER_MODE
            }
            // Only quorum queues have a strategy; it may be the first difference that the broker meets.
            "x-queue-type" | "x-dead-letter-strategy" => "a `Queue` is a quorum queue unless it says `.classic()`",
            "x-delivery-limit" => "`Queue::delivery_limit` sets it",
            "x-max-length" => "`Queue::max_length` sets it",
            "x-dead-letter-exchange" | "alternate-exchange" => "`ConnectOptions::prefix` is part of it",
            _ => "something other than Leveret has made it",
        }
    }
}

fn value(text: &str) -> String {
    let quoted = text.split('\'').nth(1);
    quoted.unwrap_or_else(|| text.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_that_the_broker_uses_is_read() {
        for (text, setting, wanted, there) in [
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'mail' in vhost '/': received '5' but current is '100'",
                "x-delivery-limit",
                "5",
                "100",
            ),
            (
                "inequivalent arg 'x-max-length' for queue 'mail' in vhost '/': received the value '3' of type 'long' but current is none",
                "x-max-length",
                "3",
                "none",
            ),
            (
                "inequivalent arg 'x-queue-type' for queue ': received 'x' in vhost '/': received none but current is the value 'quorum' of type 'longstr'",
                "x-queue-type",
                "none",
                "quorum",
            ),
        ] {
            let difference = Difference::read(text).expect(text);
            assert_eq!(
                (&*difference.setting, &*difference.wanted, &*difference.there),
                (setting, wanted, there)
            );
        }
    }

    #[test]
    fn a_setting_that_is_missing_on_one_side_tells_of_another_mode_and_no_setter() {
        let of = |setting: &str, wanted: &str, there: &str| {
            let text = format!(
                "inequivalent arg '{setting}' for queue 'q' in vhost '/': received {wanted} but current is {there}"
            );
            Difference::read(&text).expect("the broker's words").remedy()
        };
        for (setting, wanted, there) in [
            ("x-delivery-limit", "none", "the value '100' of type 'long'"),
            ("x-delivery-limit", "'2147483647'", "'20'"),
            (
                "x-dead-letter-exchange",
                "the value 'leveret.dead' of type 'longstr'",
                "none",
            ),
            ("x-overflow", "none", "the value 'reject-publish' of type 'longstr'"),
        ] {
            assert!(of(setting, wanted, there).contains("topology mode"), "{setting}");
        }
        assert!(of("x-delivery-limit", "'5'", "'100'").contains("delivery_limit"));
    }

    #[test]
    fn other_words_are_left_as_they_are() {
        for text in [
            "",
            "NOT_FOUND - no queue 'mail'",
            "inequivalent arg 'x",
            "inequivalent arg 'x' for: received ",
        ] {
            assert_eq!(Difference::read(text), None, "{text}");
        }
    }
}
