//! Taking messages one at a time, when asked: the seam's other way of receiving.

use std::fmt::Debug;

use async_trait::async_trait;

use super::{BrokerError, Delivery, Lease, Settlement};

/// Takes messages from one queue, one for each asking, on a channel or several. A round trip each: for programs that choose their own moment.
///
/// After an error of [`Puller::pull`] or [`Puller::flush`] drop it: with it go its channels, if they are not gone already, its
/// unsettled deliveries go back to the queue by themselves, and its leases are worth nothing. They go back in any order: to a quorum queue each pull is a consumer of its own.
#[async_trait]
pub trait Puller: Send + Debug {
    /// The next ready message; `None`: there is none now. Do not drop this future halfway: a message that was on its way stays
    /// unsettled until its channel closes.
    async fn pull(&mut self) -> Result<Option<Delivery>, BrokerError>;

    /// Settles one delivery. Never waits. A lease of elsewhere is refused: it comes back.
    fn settle(&mut self, lease: Lease, settlement: Settlement) -> Result<(), Lease>;

    /// Sends what [`Puller::settle`] collected, and waits until the broker has taken it in. After an error nobody knows what of it
    /// the broker has.
    async fn flush(&mut self) -> Result<(), BrokerError>;

    /// Flushes, waits until the broker has taken in all settlements, and closes the channels. Obeys the close deadline.
    async fn close(self: Box<Self>);
}
