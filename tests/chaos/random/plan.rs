//! What a seed decides: which faults, on what, when and for how long. Pure.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// The times between the beginnings of two faults.
const GAP: std::ops::Range<u64> = 2_000..14_000;
const LASTS: std::ops::Range<u64> = 1_000..15_000;
/// Of nodes, networks and workers.
const PLACES: usize = 3;

/// One fault, and when it begins. It begins later if what it is on is still broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) fault: Fault,
}

/// What goes wrong, on which of the three, and for how long where it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Node(OnNode, usize, Duration),
    Network(OnNetwork, usize, Duration),
    Program(OnProgram, usize, Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnNode {
    Kill,
    /// This one and the next: no majority is left.
    KillTwo,
    Stop,
    Freeze,
    /// It and the others do not hear of each other.
    Part,
    CloseConnections,
    /// Its memory alarm blocks every publisher.
    Alarm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnNetwork {
    Reset,
    Finish,
    CutFrame,
    Refuse,
    Stall,
    StallToBroker,
    StallToClient,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnProgram {
    KillWorker,
    StopWorker,
    FreezeWorker,
    KillProducer,
}

const ON_NODE: [OnNode; 7] = [
    OnNode::Kill,
    OnNode::KillTwo,
    OnNode::Stop,
    OnNode::Freeze,
    OnNode::Part,
    OnNode::CloseConnections,
    OnNode::Alarm,
];
const ON_NETWORK: [OnNetwork; 7] = [
    OnNetwork::Reset,
    OnNetwork::Finish,
    OnNetwork::CutFrame,
    OnNetwork::Refuse,
    OnNetwork::Stall,
    OnNetwork::StallToBroker,
    OnNetwork::StallToClient,
];
const ON_PROGRAM: [OnProgram; 4] = [
    OnProgram::KillWorker,
    OnProgram::StopWorker,
    OnProgram::FreezeWorker,
    OnProgram::KillProducer,
];

/// The faults of a seed, in the order in which they begin. None begins in the last tenth: it belongs to recovery.
pub(super) fn make(seed: u64, time: Duration) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    let end = time.mul_f64(0.9);
    let mut at = Duration::ZERO;
    let mut steps = Vec::new();
    loop {
        at += Duration::from_millis(rng.u64(GAP));
        if at > end {
            return steps;
        }
        let fault = fault(&mut rng);
        steps.push(Step { at, fault });
    }
}

fn fault(rng: &mut Rng) -> Fault {
    let place = rng.usize(0..PLACES);
    let time = Duration::from_millis(rng.u64(LASTS));
    match rng.u8(0..10) {
        // A node takes longest to come back.
        0..3 => Fault::Node(chosen(rng, &ON_NODE), place, time),
        3..7 => Fault::Network(chosen(rng, &ON_NETWORK), place, time),
        _ => Fault::Program(chosen(rng, &ON_PROGRAM), place, time),
    }
}

fn chosen<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(0..of.len())]
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, place, time) = match self {
            Self::Node(fault, place, time) => (format!("{fault:?} node"), place, time),
            Self::Network(fault, place, time) => (format!("{fault:?} network"), place, time),
            Self::Program(fault, place, time) => (format!("{fault:?}"), place, time),
        };
        write!(f, "{what} {place}, {:.1} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_every_choice() {
        let time = Duration::from_secs(1_200);
        assert_eq!(make(7, time), make(7, time));
        assert_ne!(make(7, time), make(8, time));
    }

    #[test]
    fn twenty_minutes_hold_more_than_sixty_faults_of_every_kind() {
        let steps = make(1, Duration::from_secs(1_200));
        assert!(steps.len() > 60, "{}", steps.len());
        let kinds = |is: fn(&Fault) -> bool| steps.iter().filter(|step| is(&step.fault)).count();
        assert!(kinds(|fault| matches!(fault, Fault::Node(..))) > 10);
        assert!(kinds(|fault| matches!(fault, Fault::Network(..))) > 10);
        assert!(kinds(|fault| matches!(fault, Fault::Program(..))) > 10);
    }
}
