//! The dead letters of a soak: those of its queue, and those among the lost letters.

use leveret::{DeadLetterRecord, DeadLetters, Filter, InspectError, Queue, Rabbit};

/// All dead letters of a queue. Where the exchange of the dead letters was deleted and made anew, one that comes before its binding is made goes to
/// `leveret.lost`: a person finds it there, so it is not lost.
///
/// # Errors
///
/// The broker does not let itself be looked into, or not to the end.
pub async fn dead_letters(
    rabbit: &Rabbit,
    queue: &Queue,
) -> Result<Vec<DeadLetterRecord>, Box<dyn std::error::Error + Send + Sync>> {
    let mut all = Vec::new();
    for (letters, of_all_queues) in [
        (DeadLetters::of(rabbit, queue), false),
        (DeadLetters::lost(rabbit), true),
    ] {
        let listed = match letters.list(Filter::all()).await {
            Ok(listed) => listed,
            Err(error) if InspectError::is_missing(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        if !listed.scan.is_complete() {
            return Err(listed.scan.to_string().into());
        }
        let ours = |letter: &DeadLetterRecord| letter.death.queue.as_deref().is_none_or(|name| name == queue.name());
        all.extend(listed.found.into_iter().filter(|letter| !of_all_queues || ours(letter)));
    }
    Ok(all)
}
