//! Looking at letters: [`Listing`], [`Letter`], [`Group`].

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::DeadLetters;
use super::bounds::Scan;
use super::error::InspectError;
use super::filter::Filter;
use super::fingerprint::Fingerprint;
use super::hold::Hold;
use super::record::DeadLetterRecord;
use crate::envelope::History;
use crate::message::Message;

/// The letters that a filter means, oldest first.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Listing<T> {
    /// What was asked for.
    pub found: Vec<T>,
    /// What was looked at for it.
    pub scan: Scan,
}

/// A dead letter as it is: what is known of it, and the message with its headers and its body. Neither shows in its `Debug`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Letter {
    /// What is known of it.
    pub record: DeadLetterRecord,
    /// The message. The broker's own records (`x-death`) are among its headers.
    pub message: Message,
}

impl Letter {
    /// Its failed attempts, as far as they travelled with it.
    #[must_use]
    pub fn history(&self) -> History {
        History::read(&self.message)
    }
}

/// Letters that died of the same.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// What they have in common.
    pub fingerprint: Fingerprint,
    /// How many there are.
    pub count: usize,
    /// When the first of them died, where one of them says.
    pub first: Option<SystemTime>,
    /// When the last of them died, where one of them says.
    pub last: Option<SystemTime>,
    /// One of them: the oldest.
    pub example: DeadLetterRecord,
}

impl DeadLetters {
    /// Lists what a filter means, oldest first.
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
    /// # let rabbit = Rabbit::connect("memory://list-docs").await?;
    /// # rabbit.declare(&MAIL).await?;
    /// let timed_out = DeadLetters::of(&rabbit, &MAIL).list(Filter::reason("timed_out")).await?;
    /// for letter in &timed_out.found {
    ///     println!("{} died at its attempt {}", letter.id, letter.attempt);
    /// }
    /// println!("{}", timed_out.scan); // all there were, or partial, and why
    /// # rabbit.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn list(
        &self,
        filter: Filter,
    ) -> impl Future<Output = Result<Listing<DeadLetterRecord>, InspectError>> + Send + use<> {
        self.look(filter, |record, _| record)
    }

    /// Shows the letters with this id, bodies included: mostly one.
    ///
    /// # Errors
    /// [`InspectError`] if the queue cannot be looked at.
    ///
    /// ```
    /// # use leveret::{DeadLetters, Filter, Queue, Rabbit};
    /// # const MAIL: Queue = Queue::new("mail");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rabbit = Rabbit::connect("memory://show-docs").await?;
    /// # rabbit.declare(&MAIL).await?;
    /// for letter in DeadLetters::of(&rabbit, &MAIL).show("welcome-7").await?.found {
    ///     println!("{} bytes: {}", letter.record.size, String::from_utf8_lossy(&letter.message.body));
    ///     for past in letter.history().attempts() {
    ///         println!("attempt {}: {}", past.attempt, past.error);
    ///     }
    /// }
    /// # rabbit.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn show(&self, id: &str) -> impl Future<Output = Result<Listing<Letter>, InspectError>> + Send + use<> {
        self.letters(Filter::id(id))
    }

    /// The letters that a filter means, bodies included.
    ///
    /// # Errors
    /// [`InspectError`] if the queue cannot be looked at.
    pub fn letters(
        &self,
        filter: Filter,
    ) -> impl Future<Output = Result<Listing<Letter>, InspectError>> + Send + use<> {
        self.look(filter, |record, message| Letter { record, message })
    }

    /// Groups what a filter means by fingerprint, the largest group first.
    ///
    /// # Errors
    /// [`InspectError`] if the queue cannot be looked at.
    ///
    /// ```
    /// # use leveret::{DeadLetters, Filter, Queue, Rabbit};
    /// # const MAIL: Queue = Queue::new("mail");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rabbit = Rabbit::connect("memory://groups-docs").await?;
    /// # rabbit.declare(&MAIL).await?;
    /// let letters = DeadLetters::of(&rabbit, &MAIL);
    /// for group in letters.groups(Filter::all()).await?.found {
    ///     println!("{:>6} × {} ({})", group.count, group.fingerprint, group.fingerprint.short());
    /// }
    /// # rabbit.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn groups(&self, filter: Filter) -> impl Future<Output = Result<Listing<Group>, InspectError>> + Send + use<> {
        let listing = self.list(filter);
        async move {
            let Listing { found, scan } = listing.await?;
            Ok(Listing {
                found: grouped(found),
                scan,
            })
        }
    }

    fn look<T, F>(
        &self,
        filter: Filter,
        keep: F,
    ) -> impl Future<Output = Result<Listing<T>, InspectError>> + Send + use<T, F>
    where
        T: Send,
        F: Fn(DeadLetterRecord, Message) -> T + Send,
    {
        let (source, limits) = (self.source.clone(), self.limits);
        async move {
            let mut hold = Hold::take(&source, limits).await?;
            let now = source.rabbit.clock().wall();
            let mut found = Vec::new();
            for delivery in std::mem::take(&mut hold.letters) {
                let record = DeadLetterRecord::read(&delivery.message);
                if filter.matches(&record, now) {
                    found.push(keep(record, delivery.message));
                }
            }
            let scan = hold.scan;
            // Whatever happens to the connection now, the letters go back, and they have been seen.
            let _ = hold.give_back().await;
            Ok(Listing { found, scan })
        }
    }
}

/// Puts letters together that died of the same.
fn grouped(letters: Vec<DeadLetterRecord>) -> Vec<Group> {
    let mut groups: BTreeMap<Fingerprint, Group> = BTreeMap::new();
    for letter in letters {
        let (fingerprint, at) = (letter.fingerprint(), letter.death.at);
        let group = groups.entry(fingerprint.clone()).or_insert_with(|| Group {
            fingerprint,
            count: 0,
            first: at,
            last: at,
            example: letter,
        });
        group.count += 1;
        group.first = [group.first, at].into_iter().flatten().min();
        group.last = group.last.max(at);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    // Stable: groups of one size stay in the order of their fingerprints.
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::envelope::headers;
    use crate::message::HeaderValue;

    fn letter(error: &str, millis: Option<i64>) -> DeadLetterRecord {
        let mut message = Message::default();
        let table = &mut message.properties.headers;
        table.insert(headers::FAILURE_REASON.to_owned(), "failed".into());
        table.insert(headers::FAILURE_ERROR.to_owned(), error.into());
        if let Some(millis) = millis {
            table.insert(headers::FAILURE_AT.to_owned(), HeaderValue::Int(millis));
        }
        DeadLetterRecord::read(&message)
    }

    #[test]
    fn the_largest_group_comes_first_and_knows_its_time() {
        let at = |millis| Some(UNIX_EPOCH + Duration::from_millis(millis));
        let groups = grouped(vec![
            letter("no room", Some(5)),
            letter("user 7 is away", Some(9)),
            letter("user 8 is away", None),
            letter("user 9 is away", Some(4)),
        ]);

        assert_eq!(groups.len(), 2);
        assert_eq!((groups[0].count, groups[1].count), (3, 1));
        assert_eq!((groups[0].first, groups[0].last), (at(4), at(9)));
        assert_eq!(groups[0].example.death.error.as_deref(), Some("user 7 is away"));
    }
}
