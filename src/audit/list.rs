//! Reading the audit, for whoever may see which rows.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::ledger::LedgerError;

use super::{Entry, Page, Query, Recorder};

/// How long a reader waits for what is not yet carried. A ledger that is slower than that shows
/// what it has.
const CARRY: Duration = Duration::from_secs(1);
/// How long one question to the ledger may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Questions for one page. A page of rows that are far apart comes in parts.
const QUESTIONS: usize = 8;

/// Why the audit cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// This daemon keeps none.
    #[error("no audit is kept here")]
    Off,
    /// The ledger did not answer in time.
    #[error("the ledger did not answer in time")]
    Slow,
    /// The ledger cannot be read.
    #[error("the audit cannot be read ({})", .0.reason())]
    Ledger(#[source] LedgerError),
}

impl Recorder {
    /// The newest rows that are asked for and `visible`, at most `limit`. The first page has all
    /// that was done before the question, as long as the ledger takes it. There may be fewer rows
    /// than wanted, even none, while more can be asked for.
    pub async fn list(
        &self,
        mut asked: Query,
        limit: usize,
        visible: impl Fn(&Entry) -> bool,
    ) -> Result<Page, ListError> {
        let Some(noted) = &self.0 else { return Err(ListError::Off) };
        if asked.before.is_none() {
            let (carried, done) = oneshot::channel();
            if noted.asking.try_send(carried).is_ok() {
                // Late or never: the rows that are there are shown all the same.
                let _ = timeout(CARRY, done).await;
            }
        }
        let mut page = Page::default();
        for _ in 0..QUESTIONS {
            let found = timeout(PATIENCE, noted.ledger.audit(&asked)).await;
            let found = found.map_err(|_| ListError::Slow)?.map_err(ListError::Ledger)?;
            for row in found.rows.into_iter().filter(|row| visible(&row.entry)) {
                if page.rows.len() == limit {
                    page.next = page.rows.last().map(|row| row.id);
                    return Ok(page);
                }
                page.rows.push(row);
            }
            page.next = found.next;
            if page.next.is_none() {
                break;
            }
            asked.before = page.next;
        }
        Ok(page)
    }
}
