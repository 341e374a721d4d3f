//! Messages made of bytes, so that whoever changes bytes changes messages.

use leveret::envelope::headers;
use leveret::{HeaderValue, Headers, Message};

/// How deep header values are nested.
const MAX_DEPTH: usize = 6;

/// The names that mean something to Leveret or to the broker.
const NAMES: [&str; 33] = [
    headers::ATTEMPT,
    headers::HOP,
    headers::ORIGIN,
    headers::RESENT,
    headers::MAX_ATTEMPTS,
    headers::TIMEOUT_MS,
    headers::DUE,
    headers::EXPIRES,
    headers::HISTORY,
    headers::SUSPECT,
    headers::SUSPECT_ARMED,
    headers::CRASHES,
    headers::UNKNOWN,
    headers::UNREADABLE,
    headers::REDRIVEN,
    headers::FAILURE_REASON,
    headers::FAILURE_ERROR,
    headers::FAILURE_QUEUE,
    headers::FAILURE_AT,
    headers::FAILURE_WORKER,
    headers::SCHEDULE,
    headers::TICK,
    "x-death",
    "x-delivery-count",
    "x-acquired-count",
    "x-opt-delivery-count",
    "x-first-death-queue",
    "x-last-death-reason",
    "CC",
    "BCC",
    "traceparent",
    "count",
    "routing-keys",
];

/// Texts that mean something somewhere.
const TEXTS: [&str; 8] = [
    "welcome",
    "mail",
    "mail.dead",
    "leveret.delay.v1.03",
    "failed",
    "{\"user_id\":7}",
    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.mail",
    "[{\"attempt\":1,\"reason\":\"failed\",\"at\":1}]",
];

/// Numbers at which something ends.
const NUMBERS: [i64; 12] = [
    0,
    1,
    -1,
    2,
    3,
    0x7fff_ffff,
    u32::MAX as i64 - 1,
    u32::MAX as i64,
    u32::MAX as i64 + 1,
    1_800_000_000_000,
    i64::MAX,
    i64::MIN,
];

/// Bytes that are consumed from the front. At their end everything is zero and empty.
#[derive(Debug)]
pub struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn one_in(&mut self, ways: u8) -> bool {
        self.byte().is_multiple_of(ways)
    }

    /// Whatever is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = match self.byte() {
            // Long ones are rare, and as long as a frame.
            255 => usize::from(self.byte()) * 512,
            short => usize::from(short % 64),
        };
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A number of 64 bits, mostly one at which something ends.
    pub fn number(&mut self) -> i64 {
        match usize::from(self.byte()) {
            known if known < NUMBERS.len() => NUMBERS[known],
            _ => {
                let mut bytes = [0; 8];
                bytes.fill_with(|| self.byte());
                i64::from_be_bytes(bytes)
            }
        }
    }

    /// A text, a known one or any.
    pub fn text(&mut self) -> String {
        match usize::from(self.byte()) {
            known if known < TEXTS.len() => TEXTS[known].to_owned(),
            // Longer than any short string, and than what a header keeps of an error.
            8 => "ä".repeat(usize::from(self.byte()) * 16),
            _ => String::from_utf8_lossy(self.bytes()).into_owned(),
        }
    }

    fn name(&mut self) -> String {
        match usize::from(self.byte()) {
            known if known < NAMES.len() => NAMES[known].to_owned(),
            _ => self.text(),
        }
    }

    /// Of a length that AMQP can carry as a property.
    fn optional_text(&mut self) -> Option<String> {
        let text = (!self.one_in(3)).then(|| self.text())?;
        let mut room = 255usize;
        let fits = text.chars().take_while(|character| {
            let left = room.checked_sub(character.len_utf8());
            room = left.unwrap_or(0);
            left.is_some()
        });
        Some(fits.collect())
    }

    fn value_at(&mut self, depth: usize) -> HeaderValue {
        match self.byte() % 12 {
            0 => HeaderValue::Null,
            1 => HeaderValue::Bool(self.one_in(2)),
            2..=4 => HeaderValue::Int(self.number()),
            5 => HeaderValue::Float(f64::from_bits(self.number().cast_unsigned())),
            6 => HeaderValue::Bytes(self.bytes().to_vec()),
            7 => HeaderValue::Timestamp(self.number().cast_unsigned()),
            8 if depth < MAX_DEPTH => {
                HeaderValue::List((0..self.byte() % 4).map(|_| self.value_at(depth + 1)).collect())
            }
            9 if depth < MAX_DEPTH => HeaderValue::Table(self.table_at(depth + 1)),
            _ => HeaderValue::Text(self.text()),
        }
    }

    fn table_at(&mut self, depth: usize) -> Headers {
        (0..self.byte() % 8)
            .map(|_| (self.name(), self.value_at(depth)))
            .collect()
    }

    /// A message; what is left over is its body.
    pub fn message(mut self) -> Message {
        let mut message = Message::default();
        let properties = &mut message.properties;
        properties.message_id = self.optional_text().map(Into::into);
        properties.kind = self.optional_text().map(Into::into);
        properties.content_type = self.optional_text().map(Into::into);
        properties.content_encoding = self.optional_text().map(Into::into);
        properties.correlation_id = self.optional_text().map(Into::into);
        properties.reply_to = self.optional_text().map(Into::into);
        properties.app_id = self.optional_text().map(Into::into);
        properties.timestamp = (!self.one_in(2)).then(|| self.number().cast_unsigned());
        properties.priority = (!self.one_in(2)).then(|| self.byte());
        properties.headers = self.table_at(0);
        message.body = self.rest().to_vec().into();
        message
    }
}

/// Whether a name is the broker's own bookkeeping, which no republished message may carry.
pub fn is_bookkeeping(name: &str) -> bool {
    let counts = [
        "x-death",
        "x-delivery-count",
        "x-acquired-count",
        "x-opt-delivery-count",
    ];
    counts.contains(&name)
        || ["CC", "BCC"].contains(&name)
        || name.starts_with("x-first-death-")
        || name.starts_with("x-last-death-")
}

/// The headers that are neither Leveret's nor the broker's, as text: a float that is not a number is not equal to itself.
pub fn foreign(message: &Message) -> String {
    let table = message.properties.headers.iter();
    let foreign = table.filter(|(name, _)| !name.starts_with(headers::PREFIX) && !is_bookkeeping(name));
    format!("{:?}", foreign.collect::<Vec<_>>())
}
