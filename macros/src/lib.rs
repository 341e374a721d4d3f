//! The macros of Leveret. Use them through `leveret`, which re-exports the derive beside its trait, and `leveret-worker`.
//!
//! # Layout
//! A derive runs through four steps, one file each; every mistake found on the way is collected, so that one compile shows them
//! all.
//! - `attr`: reads `#[job(…)]` into [`Settings`](attr::Settings), values as they were written.
//! - `model`: makes a [`Model`](model::Model) of type and settings; refuses what has the wrong shape.
//! - `check`: holds the model against the rules of names, times and numbers; `snake`: the default name.
//! - `expand`: writes the `impl`.
//!
//! `handler` is `#[debug_handler]`.

mod attr;
mod check;
mod errors;
mod expand;
#[cfg(feature = "handler")]
mod handler;
mod model;
mod snake;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct or an enum a job: implements the trait `leveret::Job` for it.
///
/// ```
/// use leveret::{Backoff, Job, Queue};
/// use serde::{Deserialize, Serialize};
///
/// pub const MAIL: Queue = Queue::new("mail");
///
/// #[derive(Debug, Serialize, Deserialize, Job)]
/// #[job(queue = MAIL, max_attempts = 8, backoff = Backoff::exponential("1s", "10m"), timeout = "30s")]
/// pub struct SendWelcome {
///     pub user_id: u64,
/// }
///
/// // Renamed without losing the jobs that are already queued: the old name stays as an alias for a while.
/// #[derive(Debug, Serialize, Deserialize, Job)]
/// #[job(queue = "thumbnails", name = "make_thumbnail", alias = "thumbnail", alias = "resize")]
/// pub enum MakeThumbnail {
///     Of { image: String },
///     All,
/// }
///
/// assert_eq!(SendWelcome::NAME, "send_welcome");
/// assert_eq!(SendWelcome::RETRY.max_attempts(), 8);
/// assert_eq!(MakeThumbnail::ALIASES, ["thumbnail", "resize"]);
/// ```
///
/// # The type
/// A struct of any kind or an enum that also derives serde's `Serialize` and `Deserialize`. No generic parameters and no
/// union: one job is one name and one layout on the wire.
///
/// # The keys of `#[job(…)]`
/// They may stand in several `#[job(…)]` attributes. Each but `alias` is given once.
///
/// | Key | Value | Without it |
/// |---|---|---|
/// | `queue` | a constant expression of type `Queue`, or a text: `"mail"` stands for `Queue::new("mail")` | required |
/// | `name` | the name on the wire, 1 to 255 bytes without control characters | the type's name in snake_case |
/// | `alias` | a former name that workers still run as this job; repeat the key for more | none |
/// | `max_attempts` | a whole number from 1, or a constant expression of type `u32` | `RetryPolicy::DEFAULT`'s |
/// | `backoff` | a constant expression of type `Backoff` | `RetryPolicy::DEFAULT`'s |
/// | `timeout` | how long one attempt may run, such as `"250ms"`, `"30s"`, `"10m"`, `"12h"`, `"7d"`; not zero | the worker's limit |
/// | `expires_in` | how long after it was made a job is still wanted: it is not run later, but becomes a dead letter | for ever |
/// | `crate` | the path to `leveret` where it is not `::leveret`, such as `leveret_worker::leveret` | `::leveret` |
///
/// # The default name
/// A capital letter begins a word, unless it stands in a run of capitals; there only the last one does, if a small letter follows.
/// Digits belong to the word before them, underscores stay, `r#` goes.
///
/// | Type | Name |
/// |---|---|
/// | `SendWelcome` | `send_welcome` |
/// | `HTTPPing` | `http_ping` |
/// | `SendV2Mail` | `send_v2_mail` |
/// | `Sha256Sum` | `sha256_sum` |
/// | `r#type` | `type` |
///
/// The module path is never part of it, so that a type can move. Renaming the type changes its name: keep the old one with
/// `name` or `alias`.
#[proc_macro_derive(Job, attributes(job))]
pub fn derive_job(input: TokenStream) -> TokenStream {
    expand::derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes the compiler say what is wrong with a handler, at the place where it is wrong. It changes nothing else, and can go once the
/// handler compiles.
///
/// `register` can only say that a function is no handler. With this on the function, each part is checked on its own: that the first
/// argument is a job, each other one implements `FromContext`, the return type `IntoOutcome`, and the future is `Send` (and if it
/// is not, which value is in the way). `#[debug_handler(blocking)]` is for functions given to `register_blocking`. Free functions only.
#[cfg(feature = "handler")]
#[proc_macro_attribute]
pub fn debug_handler(arguments: TokenStream, function: TokenStream) -> TokenStream {
    handler::debug_handler(arguments.into(), function.into()).into()
}
