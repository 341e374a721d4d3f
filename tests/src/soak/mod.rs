//! What the programs `soak-producer`, `soak-worker` and `soak-check` have in common: their job, their files, and the reckoning.
//!
//! # Layout
//!
//! - [`Soak`]: the job, with a checksum.
//! - [`leash`]: not to outlive whoever started the program.
//! - [`record`]: the lines of their files.
//! - [`Mischief`]: what a handler does wrong on purpose.
//! - [`Reckoning`]: what follows from them. Pure.
//! - [`urls`]: several addresses of one broker.
//! - [`dead_letters`]: the jobs that are dead.
//! - [`Hold`]: keeping them from beginning anything.
//! - [`usage`]: what a process has used.

mod dead;
mod hold;
mod job;
pub mod leash;
mod mischief;
mod reckoning;
pub mod record;
pub mod urls;
pub mod usage;

pub use self::dead::dead_letters;
pub use self::hold::Hold;
pub use self::job::{Soak, id_of, message_id};
pub use self::mischief::{EXIT, Mischief, panic_somehow};
pub use self::reckoning::{Findings, Reckoning};
