//! Keeps the client library's own log lines away from the application's.
//!
//! lapin logs the bodies of returned messages (at `WARN`) and, at `TRACE`, every frame with bodies and the login itself. No
//! filter of ours could be sure to be installed, so these threads and calls have no subscriber at all. Nothing is lost: every
//! error that it logs also reaches us as a value.

use std::cell::RefCell;

use tracing::dispatcher::{DefaultGuard, Dispatch, set_default, with_default};
use tracing::level_filters::LevelFilter;

thread_local! {
    static GUARD: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// Silences the calling thread, which must be one that runs nothing but the client library, until it ends.
pub(super) fn this_thread() {
    GUARD.with_borrow_mut(|guard| {
        if guard.is_none() {
            *guard = Some(set_default(&Dispatch::none()));
        }
    });
}

/// Silences one call on a thread of the application. Only `TRACE` shows bodies there, so that it costs nothing otherwise.
pub(super) fn call<T>(f: impl FnOnce() -> T) -> T {
    if LevelFilter::current() == LevelFilter::TRACE {
        with_default(&Dispatch::none(), f)
    } else {
        f()
    }
}
