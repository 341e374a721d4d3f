//! Carrying letters elsewhere: [`Export`].

use std::fmt;

use super::DeadLetters;
use super::bounds::Scan;
use super::error::InspectError;
use super::filter::Filter;
use super::{Listing, line};

/// Letters as lines of JSON, one each, oldest first. It holds their bodies; its `Debug` does not show them.
///
/// A line is an object with these fields; readers ignore any other:
/// - `leveret_dead_letter`: 1, the version of the format.
/// - `message_id`: the job's id. `type`: the job's name, where it has one.
/// - `properties`: those of `content_type`, `content_encoding`, `correlation_id`, `reply_to`, `app_id`, `timestamp` (seconds since the Unix epoch) and
///   `priority` that are set.
/// - `headers`: the header table, attempt, hop, history and record of the failure among them. What JSON has not is an object with one entry:
///   `{"$bytes": "<base64>"}`, `{"$timestamp": 1790000000}`, `{"$float": "NaN"}`; a table that looks like one of these is `{"$table": {…}}`. The
///   broker's own record (`x-death`) is written as a worker's would be.
/// - `body`: the body where it is JSON on one line, byte for byte; or `body_base64`.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Export {
    /// The lines, without line breaks.
    pub lines: Vec<String>,
    /// What was looked at.
    pub scan: Scan,
}

impl Export {
    /// All lines as one text, each with a line break at its end.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export")
            .field("lines", &self.lines.len())
            .field("scan", &self.scan)
            .finish()
    }
}

impl DeadLetters {
    /// Writes what a filter means as lines of JSON: see [`Export`] for the format. The letters stay where they are.
    ///
    /// # Errors
    /// [`InspectError`] if the queue cannot be looked at.
    ///
    /// ```
    /// use leveret::{DeadLetters, Filter, Queue, Rabbit};
    ///
    /// const MAIL: Queue = Queue::new("mail");
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rabbit = Rabbit::connect("memory://export-docs").await?;
    /// # rabbit.declare(&MAIL).await?;
    /// let letters = DeadLetters::of(&rabbit, &MAIL);
    /// let text = letters.export(Filter::job("send_welcome")).await?.to_text(); // into a file, say
    ///
    /// let report = letters.import(text).await?; // here, or on another broker
    /// println!("{report}");
    /// # rabbit.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn export(&self, filter: Filter) -> impl Future<Output = Result<Export, InspectError>> + Send + use<> {
        let letters = self.letters(filter);
        async move {
            let Listing { found, scan } = letters.await?;
            let lines = found.iter().map(|letter| line::write(&letter.message)).collect();
            Ok(Export { lines, scan })
        }
    }
}
