//! The task that keeps one server equal to the board.
//!
//! Owns one connection, the times of its rounds and steps, and the waits after failures. A round,
//! every 30 s and first on every connection, `add`s a sentinel: if the server takes it, its
//! contents were lost and all keys are written again. Changes are written at once, and between
//! them the sweep or the rewrite takes its steps.
//!
//! Guarantees: one exchange at a time, each under the time limit; the state that is written is the
//! latest at the moment of writing, with the life that it has then, so nothing that expired while
//! the server was away comes back to life.
//!
//! Dropping the future between any two awaits is harmless: what was given out is taken back at the
//! next start ([`Board::give_back`]).

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::{BootTime, Clock};
use crate::model::Key;

use super::board::{Batch, Board, State};
use super::link::{Added, Command, Link, LinkError};
use super::trouble::{Trouble, chain};
use super::{Layout, Life, Ttl};

/// How often a server is asked whether it has lost its contents.
const ROUND: Duration = Duration::from_secs(30);
/// How long the sentinel lives. It ends at all so that those of earlier processes go away; each
/// end costs one paced rewrite.
const SENTINEL: Ttl = Ttl::DAY;
/// Keys in one exchange: small enough to answer within the time limit over a slow line.
const BATCH: usize = 32;

/// What one server's task needs.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    index: usize,
    server: Arc<str>,
    board: Arc<Board>,
    layouts: Arc<[Layout]>,
    clock: Clock,
    limit: Duration,
    sentinel: String,
}

/// What a task remembers from one connection to the next.
struct Memory {
    /// Trouble with the connection.
    line: Trouble,
    /// Trouble with single keys on a sound connection.
    refusals: Trouble,
    /// Whether it was told since the last round.
    refused: bool,
    /// When the sweep or rewrite last took a step.
    stepped: BootTime,
}

impl Worker {
    pub(super) fn new(
        index: usize,
        board: Arc<Board>,
        layouts: Arc<[Layout]>,
        limit: Duration,
        instance: u64,
    ) -> Self {
        let server = board.name(index);
        let clock = board.clock();
        let sentinel = format!("zhongkong:sentinel:{instance:016x}");
        Self { index, server, board, layouts, clock, limit, sentinel }
    }

    pub(super) fn server(&self) -> Arc<str> {
        Arc::clone(&self.server)
    }

    /// Writes until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut memory = Memory {
            line: Trouble::new(self.server()),
            refusals: Trouble::new(self.server()),
            refused: false,
            stepped: self.clock.boot(),
        };
        // A predecessor that panicked may have left a batch.
        self.board.give_back(self.index);
        let forever = async {
            loop {
                let Err(error) = self.connection(&mut memory).await;
                self.board.give_back(self.index);
                let what = chain(&error);
                memory.line.failed(&what);
                self.board.disconnected(self.index, memory.line.failures(), what);
                self.clock.sleep_until(self.clock.boot() + memory.line.wait(rand::random())).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = forever => {}
        }
    }

    /// One connection's life; ends only by its failure.
    async fn connection(&self, memory: &mut Memory) -> Result<Infallible, LinkError> {
        let mut link = Link::connect(&self.server, self.limit).await?;
        self.round(&mut link).await?;
        let mut round_at = self.clock.boot() + ROUND;
        loop {
            // Rounds come first: a stream of changes must not hide a loss.
            if self.clock.boot() >= round_at {
                self.round(&mut link).await?;
                round_at = self.clock.boot() + ROUND;
                memory.line.sustained();
                self.board.sustained(self.index);
                if !std::mem::take(&mut memory.refused) {
                    memory.refusals.recovered();
                    memory.refusals.sustained();
                }
                continue;
            }
            let changed = self.board.take_changed(self.index, BATCH);
            if !changed.is_empty() {
                self.write(&mut link, changed, memory).await?;
                continue;
            }
            memory.line.recovered();
            let step_at = self.board.step(self.index).map_or(BootTime::FAR, |period| memory.stepped + period);
            if self.clock.boot() >= step_at {
                memory.stepped = self.clock.boot();
                let step = self.board.take_step(self.index);
                self.write(&mut link, step, memory).await?;
                continue;
            }
            tokio::select! {
                () = self.board.woken(self.index) => {}
                () = self.clock.sleep_until(round_at.min(step_at)) => {}
                error = link.hang_up() => return Err(error),
            }
        }
    }

    /// Asks whether the server still has what was written to it.
    async fn round(&self, link: &mut Link) -> Result<(), LinkError> {
        match link.add(&self.sentinel, SENTINEL).await {
            Ok(Added::Existed) => self.board.round_kept(self.index),
            Ok(Added::Stored) => {
                if self.board.round_lost(self.index) > 1 {
                    let server = &*self.server;
                    tracing::info!(
                        server,
                        "memcached {server} has lost its contents; all keys are written again"
                    );
                }
            }
            Err(error) => {
                self.board.round_unknown(self.index);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn write(&self, link: &mut Link, batch: Batch, memory: &mut Memory) -> Result<(), LinkError> {
        let mut owners = Vec::new();
        let mut commands = Vec::new();
        for (key, state) in &batch {
            let before = commands.len();
            self.add_commands(key, state, &mut commands);
            owners.extend(std::iter::repeat_n(key, commands.len() - before));
        }
        let answers = link.execute(&commands).await?;
        let mut refused = BTreeSet::new();
        let mut reason = None;
        for (owner, answer) in owners.into_iter().zip(answers) {
            if let Err(refusal) = answer {
                refused.insert(owner.clone());
                reason = Some(refusal);
            }
        }
        if let Some(reason) = reason {
            let what = chain(&reason);
            // Once a round: a full server refuses thousands of keys.
            if !std::mem::replace(&mut memory.refused, true) {
                memory.refusals.failed(&what);
            }
            self.board.refused(self.index, what);
        }
        self.board.confirm(self.index, refused);
        Ok(())
    }

    /// What makes the server's copies of one key equal to its state now.
    fn add_commands(&self, key: &Key, state: &State, commands: &mut Vec<Command>) {
        let living = match state {
            State::Present(entry) => Life::of(entry, &self.clock).map(|life| (entry, life)),
            State::Withdrawn => None,
        };
        for layout in self.layouts.iter() {
            match &living {
                Some((entry, life)) => {
                    commands.extend(layout.render(entry, life).into_iter().map(Command::Store));
                }
                None => commands.extend(layout.keys(key).into_iter().map(Command::Delete)),
            }
        }
    }
}
