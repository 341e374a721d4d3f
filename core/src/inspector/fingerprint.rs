//! What dead letters have in common that died of the same thing: [`Fingerprint`]. Pure.

use std::fmt;

use super::shape::shape;

/// A job type and the shape of an error: the text without the numbers, ids, quoted values and hex in it. Letters that died of the
/// same have the same.
///
/// ```
/// use leveret::Fingerprint;
///
/// let one = Fingerprint::of(Some("send_welcome"), "user 17 at 'eu-1' has no mailbox");
/// let two = Fingerprint::of(Some("send_welcome"), "user 4711 at 'us-3' has no mailbox");
/// assert_eq!(one, two);
/// assert_eq!(one.shape(), "user <n> at \"…\" has no mailbox");
/// assert_ne!(one, Fingerprint::of(Some("send_invoice"), "user 17 at 'eu-1' has no mailbox"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint {
    job: Option<String>,
    shape: String,
}

impl Fingerprint {
    /// The fingerprint of a job type and an error's text.
    #[must_use]
    pub fn of(job: Option<&str>, error: &str) -> Self {
        Self {
            job: job.map(str::to_owned),
            shape: shape(error),
        }
    }

    /// The job's name.
    #[must_use]
    pub fn job(&self) -> Option<&str> {
        self.job.as_deref()
    }

    /// What is left of the error's text.
    #[must_use]
    pub fn shape(&self) -> &str {
        &self.shape
    }

    /// Sixteen characters that stand for it, to be named in a command.
    #[must_use]
    pub fn short(&self) -> String {
        let job = self.job.as_deref().unwrap_or_default();
        format!("{:016x}", mixed(&[job.as_bytes(), self.shape.as_bytes()]))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.job.as_deref().unwrap_or("no type"), self.shape)
    }
}

/// A digest of texts (FNV-1a, 64 bits): the same in every version and on every machine. It tells things apart; it protects nothing.
pub(super) fn mixed(texts: &[&[u8]]) -> u64 {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for text in texts {
        // A byte that no UTF-8 text has, so that where one text ends matters.
        for byte in text.iter().chain([&0xff]) {
            digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_the_same_for_ever_and_differs_where_texts_are_split_elsewhere() {
        let print = Fingerprint::of(Some("send_welcome"), "no mailbox");
        assert_eq!(
            print.short(),
            Fingerprint::of(Some("send_welcome"), "no  mailbox").short()
        );
        assert_eq!(mixed(&[b""]), 0xaf64_724c_8602_eb6e);
        assert_ne!(mixed(&[b"ab", b"c"]), mixed(&[b"a", b"bc"]));
    }
}
