//! Who answers, in two seats that a reload fills anew: rules first, then the account's program.
//!
//! The desk keeps its seats for the process's life, and with them what it remembers of messages;
//! who sits there may change. A message is answered by who sat there when it came.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;

use crate::services::messages::forward::Forwarder;
use crate::services::messages::handler::{Handled, HandlerError, Incoming, MessageHandler};
use crate::services::messages::rules::Rules;

/// The seat of the rules.
#[derive(Default)]
pub(super) struct RulesSeat(ArcSwapOption<Rules>);

/// The seat of the programs that get what no rule answers, by the accounts' paths.
#[derive(Default)]
pub(super) struct ProgramSeat(ArcSwap<Programs>);

/// Which program gets which account's messages.
pub(super) type Programs = HashMap<String, Program>;

/// A program with its name for logs: `forward: crm`.
#[derive(Clone)]
pub(super) struct Program {
    forwarder: Arc<Forwarder>,
    answers_as: Arc<str>,
}

impl RulesSeat {
    pub(super) fn fill(&self, rules: Option<Rules>) {
        self.0.store(rules.map(Arc::new));
    }

    /// How many rules there are now, if there is a file of them.
    pub(super) fn count(&self) -> Option<usize> {
        self.0.load().as_ref().map(|rules| rules.book().len())
    }
}

impl Program {
    pub(super) fn new(forwarder: Arc<Forwarder>) -> Self {
        let answers_as = format!("forward: {}", forwarder.name()).into();
        Self { forwarder, answers_as }
    }
}

impl ProgramSeat {
    pub(super) fn fill(&self, programs: Programs) {
        self.0.store(Arc::new(programs));
    }
}

#[async_trait]
impl MessageHandler for RulesSeat {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn matches(&self, incoming: &Incoming) -> bool {
        self.0.load().as_ref().is_some_and(|rules| rules.matches(incoming))
    }

    async fn handle(&self, incoming: &Incoming) -> Result<Handled, HandlerError> {
        match self.0.load_full() {
            Some(rules) => rules.handle(incoming).await,
            None => Ok(Handled::Pass),
        }
    }
}

#[async_trait]
impl MessageHandler for ProgramSeat {
    fn name(&self) -> &'static str {
        "forward"
    }

    fn matches(&self, incoming: &Incoming) -> bool {
        self.0.load().contains_key(&incoming.account.path)
    }

    async fn handle(&self, incoming: &Incoming) -> Result<Handled, HandlerError> {
        let program = self.0.load().get(&incoming.account.path).cloned();
        let Some(Program { forwarder, answers_as }) = program else { return Ok(Handled::Pass) };
        Ok(match forwarder.handle(incoming).await? {
            Handled::Answer(answer) => Handled::AnswerOf(answer, answers_as),
            handled @ (Handled::AnswerOf(..) | Handled::Pass) => handled,
        })
    }
}
