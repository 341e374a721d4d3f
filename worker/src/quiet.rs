//! Who may hold jobs at this moment: [`Quiet`]. A suspect may take its worker along, so it runs beside nothing else.

use std::sync::Arc;

use leveret::watch;

/// What the dispatchers of one worker agree on. Written by all of them, a few times for each subscription and each suspect.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Dispatchers that hold jobs, or may be given some.
    present: usize,
    /// Whether one has asked the others to hold none.
    asked: bool,
}

impl Quiet {
    /// To be told of every change.
    pub(crate) fn watch(&self) -> Changes {
        Changes(self.state.subscribe())
    }

    /// Begins to hold jobs, unless somebody wants to be alone.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Presence> {
        let entered = self.state.send_if_modified(|state| {
            state.present += usize::from(!state.asked);
            !state.asked
        });
        entered.then(|| Presence(Arc::clone(self)))
    }

    /// Asks for the worker for oneself, unless somebody else has. It is granted once [`Solo::is_alone`].
    pub(crate) fn ask(self: &Arc<Self>) -> Option<Solo> {
        let asked = self
            .state
            .send_if_modified(|state| !std::mem::replace(&mut state.asked, true));
        asked.then(|| Solo(Arc::clone(self)))
    }

    /// Whether somebody wants to be alone.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.state.borrow().asked
    }
}

/// Waits for changes.
pub(crate) struct Changes(watch::Receiver<State>);

impl Changes {
    /// Resolves after the next one.
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could change anything.
            std::future::pending::<()>().await;
        }
    }
}

/// Of a dispatcher that holds jobs, or may be given some.
#[derive(Debug)]
pub(crate) struct Presence(Arc<Quiet>);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.present -= 1);
    }
}

/// Of whoever asked for the worker for itself. The others go on when it is dropped.
#[derive(Debug)]
pub(crate) struct Solo(Arc<Quiet>);

impl Solo {
    /// Whether nobody else holds a job, or can be given one.
    pub(crate) fn is_alone(&self) -> bool {
        self.0.state.borrow().present == 0
    }
}

impl Drop for Solo {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.asked = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_is_alone_once_the_others_have_left_and_none_comes_in_before_it_goes() {
        let quiet = Arc::new(Quiet::default());
        let (first, second) = (quiet.enter().expect("open"), quiet.enter().expect("open"));

        let solo = quiet.ask().expect("nobody else has asked");
        assert!(quiet.is_asked_for() && quiet.enter().is_none() && quiet.ask().is_none());
        drop(first);
        assert!(!solo.is_alone());
        drop(second);
        assert!(solo.is_alone() && quiet.enter().is_none());

        drop(solo);
        assert!(!quiet.is_asked_for() && quiet.enter().is_some());
        assert!(quiet.ask().is_some_and(|solo| solo.is_alone()));
    }
}
