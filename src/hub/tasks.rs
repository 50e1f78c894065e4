//! The refreshers of all keys: those that rest, and the tasks of those that work.
//!
//! A resting key is a box in a list and an entry among the alarms; it costs no task, no timer
//! and no channel. It is given a task when its hour comes or its bell rings, and comes back to
//! its bed when there is nothing to do for it. One that panics is started again with what it
//! knew, in the same task.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::{BootTime, Clock};
use crate::failpoint;
use crate::refresh::bell::{Bed, Rung};
use crate::refresh::task::{Ran, Refresher};
use crate::telemetry::{metrics, safe_text};

/// How long a refresher rests after a panic.
const REST: Duration = Duration::from_secs(1);

/// The refreshers of all keys, to be run.
pub struct Tasks {
    #[expect(clippy::vec_box, reason = "they stay where they are: only the boxes go from list to list")]
    pub(super) first: Vec<Box<Refresher>>,
    pub(super) handover: mpsc::Receiver<Box<Refresher>>,
    pub(super) pings: mpsc::Receiver<oneshot::Sender<()>>,
    pub(super) rung: Arc<Rung>,
    pub(super) clock: Clock,
}

/// A refresher that comes back from its task.
type Back = (Bed, Box<Refresher>, Ran);

/// Who rests where, and who works.
struct Ward {
    /// The resting ones. Empty beds are free, or their owners work.
    beds: Vec<Option<Box<Refresher>>>,
    free: Vec<Bed>,
    /// When each of the resting ones wants to be woken.
    alarms: BTreeSet<(BootTime, Bed)>,
    working: JoinSet<Back>,
    stop: CancellationToken,
}

impl Tasks {
    /// Runs every refresher until `stop`; then waits for the rounds under way. Dropping it
    /// aborts them, which the daemon does after its grace.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ward = Ward::new(std::mem::take(&mut self.first), stop.clone());
        loop {
            ward.wake_due(self.clock.boot());
            let alarm = ward.next_alarm();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(refresher) = self.handover.recv() => ward.admit(refresher),
                Some(ping) = self.pings.recv() => {
                    failpoint::pass("hub.block", None).await;
                    // An error means that the asker has given up.
                    let _ = ping.send(());
                }
                Some(ended) = ward.working.join_next() => {
                    ward.take_back(ended);
                    // Those that ended meanwhile, before the alarm is set anew.
                    while let Some(ended) = ward.working.try_join_next() {
                        ward.take_back(ended);
                    }
                }
                () = self.rung.some() => {
                    for bed in self.rung.take() {
                        ward.wake(bed);
                    }
                }
                () = self.clock.sleep_until(alarm) => {}
            }
        }
        ward.empty();
        while let Some(ended) = ward.working.join_next().await {
            match ended {
                // It came back just before the stop.
                Ok((bed, refresher, Ran::Until(_))) if refresher.owes() => ward.start(bed, refresher),
                Ok(_) => {}
                Err(loss) => log_loss(&loss),
            }
        }
    }
}

impl Ward {
    #[expect(clippy::vec_box, reason = "as they come from the hub")]
    fn new(first: Vec<Box<Refresher>>, stop: CancellationToken) -> Self {
        let mut beds = Vec::with_capacity(first.len());
        let mut alarms = Vec::with_capacity(first.len());
        for refresher in first {
            let bed = number(beds.len());
            refresher.lies_at(bed);
            // Looked at after it was told its bed: what rang before is not on the list.
            let until = if refresher.is_rung() { BootTime(i64::MIN) } else { refresher.rests_until() };
            alarms.push((until, bed));
            beds.push(Some(refresher));
        }
        // From a sorted list the tree is made in one go, and full.
        let alarms = BTreeSet::from_iter(alarms);
        Self { beds, free: Vec::new(), alarms, working: JoinSet::new(), stop }
    }

    /// Takes in one more.
    fn admit(&mut self, refresher: Box<Refresher>) {
        let bed = self.free.pop().unwrap_or_else(|| {
            self.beds.push(None);
            number(self.beds.len() - 1)
        });
        refresher.lies_at(bed);
        self.lay(bed, refresher);
    }

    /// Lays it to rest, unless it is wanted.
    fn lay(&mut self, bed: Bed, refresher: Box<Refresher>) {
        // A ring from now on finds the bed on the list; see `refresh::bell`.
        if refresher.is_rung() {
            return self.start(bed, refresher);
        }
        self.alarms.insert((refresher.rests_until(), bed));
        self.beds[index(bed)] = Some(refresher);
    }

    /// When the next of them wants to be woken.
    fn next_alarm(&self) -> BootTime {
        self.alarms.first().map_or(BootTime::FAR, |(at, _)| *at)
    }

    /// Wakes those whose hour has come.
    fn wake_due(&mut self, now: BootTime) {
        while let Some((_, bed)) = self.alarms.first().filter(|(at, _)| *at <= now).copied() {
            self.alarms.pop_first();
            if let Some(refresher) = self.beds[index(bed)].take() {
                self.start(bed, refresher);
            }
        }
    }

    /// Wakes the one in this bed, if it rests and rings.
    fn wake(&mut self, bed: Bed) {
        let Some(slot) = self.beds.get_mut(index(bed)) else { return };
        if let Some(refresher) = slot.take_if(|refresher| refresher.is_rung()) {
            self.alarms.remove(&(refresher.rests_until(), bed));
            self.start(bed, refresher);
        }
    }

    fn start(&mut self, bed: Bed, refresher: Box<Refresher>) {
        self.working.spawn(supervise(bed, refresher, self.stop.clone()));
    }

    fn take_back(&mut self, ended: Result<Back, JoinError>) {
        match ended {
            Ok((bed, refresher, Ran::Until(_))) => self.lay(bed, refresher),
            Ok((bed, _, Ran::Ended)) => self.free.push(bed),
            Err(loss) => log_loss(&loss),
        }
    }

    /// The end of the daemon: who owes the ledger something has a last round, the others have none.
    fn empty(&mut self) {
        self.alarms.clear();
        for at in 0..self.beds.len() {
            if let Some(refresher) = self.beds[at].take().filter(|refresher| refresher.owes()) {
                self.start(number(at), refresher);
            }
        }
    }
}

fn index(bed: Bed) -> usize {
    bed.0 as usize
}

fn number(index: usize) -> Bed {
    Bed(u32::try_from(index).expect("four thousand million refreshers fit into no memory"))
}

/// Keeps one refresher running until it has nothing to do, whatever happens in it (L4).
async fn supervise(bed: Bed, mut refresher: Box<Refresher>, stop: CancellationToken) -> Back {
    loop {
        // Sound: what the refresher knows is kept consistent between its await points by
        // `State`'s methods, and an interrupted call is recognised by its intent.
        let panic = match AssertUnwindSafe(refresher.run(&stop)).catch_unwind().await {
            Ok(ran) => return (bed, refresher, ran),
            Err(panic) => panic,
        };
        let key = refresher.handle_key();
        // The panic itself was logged where it happened, with its place.
        let text = safe_text(&*panic);
        metrics::refresher_restart(key.kind);
        tracing::error!(app = %key.appid, kind = %key.kind, text, "the refresher of {key} panicked; it is restarted");
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(REST) => {}
        }
    }
}

fn log_loss(loss: &JoinError) {
    // Its text may quote a secret; what can be shown of the panic was logged where it happened.
    if loss.is_panic() {
        tracing::error!("a supervisor panicked; its key is not refreshed until the daemon is restarted");
    }
}
