//! What became of the messages of the last minutes, in this process.
//!
//! Everything is forgotten in the order in which it was finished, so expiry is a look at the front
//! of two queues. What is being worked on is never forgotten, and there is room for so much of it
//! and no more: the desk refuses what goes beyond. An answer is personal and is dropped after a
//! minute, by the next message that comes, or sooner where a flood would fill the memory with
//! them; that there was one is remembered for the replay window.

use std::collections::hash_map::Entry as Place;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::DedupKey;

/// How long an answer can be repeated: WeChat's last retry comes within 15 s.
pub(in super::super) const ANSWERS: Duration = Duration::from_secs(60);
/// How many entries a message may have to clear away.
const AT_ONCE: usize = 256;

/// What is known of a message; `W` is work on it, `A` its answer.
#[derive(Debug)]
pub(in super::super) enum State<W, A> {
    /// Somebody works on it.
    Working(Arc<W>),
    /// It was answered so.
    Answered(Arc<A>),
    /// It is done, and its answer went out late or is forgotten.
    Done,
}

/// What [`Table::find`] found.
#[derive(Debug)]
pub(in super::super) enum Found<W, A> {
    /// It was not there, and this is its entry now.
    New(Arc<W>),
    /// It was there.
    Known(State<W, A>),
    /// It was not there, and there is no room for more work.
    Full,
}

/// How big a table gets.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Bounds {
    /// Messages being worked on.
    pub(in super::super) working: usize,
    /// Messages that are done.
    pub(in super::super) done: usize,
    /// Those of them whose answer is kept.
    pub(in super::super) answers: usize,
    /// How long those are remembered.
    pub(in super::super) window: Duration,
}

/// The messages of the last minutes.
#[derive(Debug)]
pub(in super::super) struct Table<W, A> {
    bounds: Bounds,
    entries: HashMap<DedupKey, Entry<W>>,
    working: usize,
    /// Answers to be dropped, the oldest first. Not in the entries: those of a busy hour fill no
    /// cache, and an answer is dropped with every message.
    answers: VecDeque<(Instant, Arc<A>)>,
    /// How many answers were dropped, which is the number of the one in front.
    dropped: u64,
    /// Keys to be dropped, the oldest first: one for each entry that is done.
    done: VecDeque<(Instant, DedupKey)>,
    warned: bool,
    closed: bool,
}

/// What stands in the table for a message.
#[derive(Debug)]
enum Entry<W> {
    /// Somebody works on it.
    Working(Arc<W>),
    /// It is done, and its answer had this number. It may be dropped by now.
    Answered(u64),
    /// It is done, and there is no answer to be repeated.
    Done,
}

impl<W, A> Table<W, A> {
    pub(in super::super) fn new(bounds: Bounds) -> Self {
        let (entries, answers, done) = (HashMap::new(), VecDeque::new(), VecDeque::new());
        Self { bounds, entries, working: 0, answers, dropped: 0, done, warned: false, closed: false }
    }

    /// What is known of a message; one that is not known is being worked on from now on.
    pub(in super::super) fn find(
        &mut self,
        key: DedupKey,
        now: Instant,
        work: impl FnOnce() -> Arc<W>,
    ) -> Found<W, A> {
        self.expire(now);
        let place = match self.entries.entry(key) {
            Place::Occupied(place) => {
                return Found::Known(match *place.get() {
                    Entry::Working(ref work) => State::Working(Arc::clone(work)),
                    Entry::Answered(number) => self.answer(number).map_or(State::Done, State::Answered),
                    Entry::Done => State::Done,
                });
            }
            Place::Vacant(place) => place,
        };
        if self.closed || self.working >= self.bounds.working {
            return Found::Full;
        }
        let work = work();
        place.insert(Entry::Working(Arc::clone(&work)));
        self.working += 1;
        Found::New(work)
    }

    /// Takes nothing new from now on. What is known is found as before.
    pub(in super::super) fn close(&mut self) {
        self.closed = true;
    }

    /// How many messages are being worked on.
    pub(in super::super) fn working(&self) -> usize {
        self.working
    }

    /// The work is done; its answer is kept if it may be repeated.
    pub(in super::super) fn finish(&mut self, key: DedupKey, answer: Option<Arc<A>>, now: Instant) {
        let Some(entry @ Entry::Working(_)) = self.entries.get_mut(&key) else { return };
        self.working -= 1;
        match answer {
            Some(answer) => {
                *entry = Entry::Answered(self.dropped + self.answers.len() as u64);
                self.answers.push_back((now + ANSWERS, answer));
                if self.answers.len() > self.bounds.answers {
                    self.forget_answer();
                }
            }
            None => *entry = Entry::Done,
        }
        self.done.push_back((now + self.bounds.window, key));
        if self.done.len() > self.bounds.done {
            if !std::mem::replace(&mut self.warned, true) {
                tracing::warn!(
                    count = self.bounds.done,
                    "more messages come than are remembered, and the oldest are forgotten before the replay window ends; said once until it is over: a flood, or too many accounts for one process",
                );
            }
            self.forget_oldest();
        }
        self.expire(now);
    }

    /// Drops what its time has come for, but not more than a little at once: after a flood nobody
    /// waits for half a million entries to go. Faster than new ones come in any case.
    fn expire(&mut self, now: Instant) {
        for _ in 0..AT_ONCE {
            let answer = self.answers.front().is_some_and(|(at, _)| *at <= now);
            if answer {
                self.forget_answer();
            }
            let done = self.done.front().is_some_and(|(at, _)| *at <= now);
            if done {
                self.forget_oldest();
            }
            if !answer && !done {
                break;
            }
        }
        if self.done.len() <= self.bounds.done / 2 {
            self.warned = false;
        }
    }

    /// The answer of this number, if it is still there.
    fn answer(&self, number: u64) -> Option<Arc<A>> {
        let place = usize::try_from(number.checked_sub(self.dropped)?).ok()?;
        self.answers.get(place).map(|(_, answer)| Arc::clone(answer))
    }

    /// Forgets the oldest answer, and not that there was one.
    fn forget_answer(&mut self) {
        if self.answers.pop_front().is_some() {
            self.dropped += 1;
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.done.pop_front()
            && let Some(Entry::Answered(number)) = self.entries.remove(&key)
            // Answers stand in the same order: if it is still there, it is the one in front.
            && number == self.dropped
        {
            self.forget_answer();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_mins(10);

    fn table(working: usize, done: usize) -> Table<(), u8> {
        Table::new(Bounds { working, done, answers: 9, window: WINDOW })
    }

    fn key(number: u8) -> DedupKey {
        DedupKey([number; 16])
    }

    fn is_new(found: &Found<(), u8>) -> bool {
        matches!(found, Found::New(_))
    }

    #[test]
    fn answer_is_kept_for_a_minute_and_the_key_for_the_window() {
        let (mut table, start) = (table(9, 9), Instant::now());
        let mut look = |after: Duration| table.find(key(1), start + after, Arc::default);
        assert!(is_new(&look(Duration::ZERO)));
        assert!(
            matches!(look(Duration::from_hours(9)), Found::Known(State::Working(_))),
            "work is not forgotten"
        );
        table.finish(key(1), Some(Arc::new(7)), start);
        let mut look = |after: Duration| table.find(key(1), start + after, Arc::default);
        assert!(
            matches!(look(Duration::from_millis(59_999)), Found::Known(State::Answered(answer)) if *answer == 7)
        );
        assert!(matches!(look(ANSWERS), Found::Known(State::Done)));
        assert!(matches!(look(Duration::from_millis(599_999)), Found::Known(State::Done)));
        assert!(is_new(&look(WINDOW)));
        assert!(table.answers.is_empty() && table.done.is_empty(), "nothing is left of what has expired");
    }

    #[test]
    fn message_after_a_flood_clears_away_a_little_of_it_and_those_behind_it_the_rest() {
        let (mut table, start) = (table(1, 10_000), Instant::now());
        for number in 0..1_000_u64 {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&number.to_le_bytes());
            assert!(is_new(&table.find(DedupKey(key), start, Arc::default)));
            table.finish(DedupKey(key), Some(Arc::new(1)), start);
        }
        let later = start + WINDOW;
        for left in [1_000 - AT_ONCE, 1_000 - 2 * AT_ONCE, 1_000 - 3 * AT_ONCE, 0] {
            table.expire(later);
            assert_eq!((table.done.len(), table.entries.len()), (left, left));
        }
        assert!(table.answers.is_empty());
    }

    #[test]
    fn full_table_forgets_what_was_finished_first_and_never_work() {
        let (mut table, now) = (table(3, 2), Instant::now());
        for number in 1..=3 {
            assert!(is_new(&table.find(key(number), now, Arc::default)));
        }
        assert!(matches!(table.find(key(4), now, Arc::default), Found::Full));
        assert!(matches!(table.find(key(3), now, Arc::default), Found::Known(_)), "a retry needs no room");
        for number in [2, 1, 3] {
            table.finish(key(number), Some(Arc::new(number)), now);
        }
        assert!(table.warned);
        assert_eq!((table.entries.len(), table.answers.len(), table.done.len()), (2, 2, 2));
        assert!(matches!(table.find(key(1), now, Arc::default), Found::Known(State::Answered(_))));
        assert!(is_new(&table.find(key(2), now, Arc::default)), "2 was finished first");
        // Finished twice: the second time changes nothing.
        table.finish(key(1), None, now);
        assert_eq!((table.working, table.done.len()), (1, 2));
    }

    #[test]
    fn warning_of_a_full_table_is_said_again_by_the_next_flood_only() {
        let (mut table, start) = (table(9, 4), Instant::now());
        let fill = |table: &mut Table<(), u8>, numbers: std::ops::Range<u8>, now| {
            for number in numbers {
                table.find(key(number), now, Arc::default);
                table.finish(key(number), None, now);
            }
        };
        fill(&mut table, 0..4, start);
        assert!(!table.warned, "just full is not too full");
        fill(&mut table, 4..5, start);
        assert!(table.warned);
        let later = start + WINDOW / 2;
        fill(&mut table, 5..7, later);
        assert!(table.warned, "it is as full as it was");
        table.expire(start + WINDOW);
        assert!(!table.warned, "half of it is free");
    }

    #[test]
    fn flood_of_answers_costs_the_oldest_ones_and_not_that_they_were_given() {
        let mut table: Table<(), u8> = Table::new(Bounds { working: 9, done: 9, answers: 2, window: WINDOW });
        let now = Instant::now();
        for number in 1..=4 {
            table.find(key(number), now, Arc::default);
            table.finish(key(number), Some(Arc::new(number)), now);
        }
        let mut find = |number| table.find(key(number), now, Arc::default);
        assert!(matches!(find(2), Found::Known(State::Done)));
        assert!(matches!(find(3), Found::Known(State::Answered(answer)) if *answer == 3));
        assert!(matches!(find(4), Found::Known(State::Answered(answer)) if *answer == 4));
        assert_eq!((table.answers.len(), table.done.len()), (2, 4));
    }

    #[test]
    fn closed_table_takes_nothing_new_and_knows_what_it_knew() {
        let (mut table, now) = (table(9, 9), Instant::now());
        table.find(key(1), now, Arc::default);
        table.find(key(2), now, Arc::default);
        table.finish(key(2), Some(Arc::new(2)), now);
        table.close();
        assert!(matches!(table.find(key(3), now, Arc::default), Found::Full));
        assert!(matches!(table.find(key(1), now, Arc::default), Found::Known(State::Working(_))));
        assert!(matches!(table.find(key(2), now, Arc::default), Found::Known(State::Answered(_))));
        assert_eq!(table.working(), 1);
    }
}
