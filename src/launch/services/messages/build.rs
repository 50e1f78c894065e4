//! The message service's parts from a configuration: what a reload makes anew, and what stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::client::Client;
use crate::clock::Clock;
use crate::config::messages::{CallbackSettings, ForwardSettings, MessagesSettings};
use crate::services::messages::desk::{self, Desk};
use crate::services::messages::dispatch::{Dispatcher, Mode};
use crate::services::messages::door::{Callback, Table};
use crate::services::messages::forward::{self, Forwarder};
use crate::services::messages::handler::MessageHandler;
use crate::services::messages::late::Late;
use crate::services::messages::log::MessageLog;
use crate::services::messages::rules::{Beside, Rules, Watcher};
use crate::services::messages::{envelope, log};
use crate::services::wechat_api::{self, WechatApi};

use super::answerers::{Program, ProgramSeat, Programs, RulesSeat};
use super::error::MessagesError;
use super::late::NotedLate;

/// The business programs by name, each with what it was made from: one that a reload does not
/// change keeps its connections and what it has learnt of its program.
pub(super) type Forwarders = BTreeMap<String, (ForwardSettings, Arc<Forwarder>)>;

/// What a reload makes anew.
pub(super) struct Live {
    pub(super) table: Table,
    pub(super) rules: Option<(Rules, Watcher)>,
    pub(super) forwarders: Forwarders,
    pub(super) programs: Programs,
}

/// What stays.
pub(super) struct Fixed {
    pub(super) desk: Arc<Desk>,
    pub(super) rules: Arc<RulesSeat>,
    pub(super) programs: Arc<ProgramSeat>,
    pub(super) log: MessageLog,
    pub(super) writer: Option<log::Writer>,
    pub(super) client: Client,
}

impl Live {
    /// Makes them. Reads the rules' file, so it blocks.
    pub(super) fn new(
        settings: &MessagesSettings,
        before: &Forwarders,
        beside: &Beside,
        clock: &Clock,
    ) -> Result<Self, MessagesError> {
        let mut forwarders = Forwarders::new();
        for wanted in &settings.forwards {
            let kept = before.get(&wanted.name).filter(|(settings, _)| settings == wanted);
            let forwarder = match kept {
                Some((_, forwarder)) => forwarder.clone(),
                None => Arc::new(forwarder(wanted, clock)?),
            };
            forwarders.insert(wanted.name.clone(), (wanted.clone(), forwarder));
        }
        let callbacks = settings.accounts.iter().map(|account| callback(account, settings));
        let table = Table::new(callbacks.collect())?;
        let handlers = forwarders
            .iter()
            .map(|(name, (_, forwarder))| (name.clone(), forwarder.clone() as Arc<dyn MessageHandler>))
            .collect();
        let open = |path| Rules::open(path, handlers, beside.clone(), clock.clone());
        let rules = settings.rules.as_ref().map(open).transpose()?;
        let program = |account: &CallbackSettings| {
            let (_, forwarder) = forwarders.get(account.forward.as_ref()?)?;
            Some((account.account.path.clone(), Program::new(forwarder.clone())))
        };
        let programs = settings.accounts.iter().filter_map(program).collect();
        Ok(Self { table, rules, forwarders, programs })
    }
}

impl Fixed {
    /// Makes them. Opens no connection; must be called within a runtime.
    pub(super) fn new(settings: &MessagesSettings, clock: &Clock) -> Result<Self, MessagesError> {
        let (log, writer) = match &settings.log {
            Some(wanted) => {
                let (log, writer) = MessageLog::new(wanted.clone(), clock.clone())?;
                (log, Some(writer))
            }
            None => (MessageLog::without_file(log::OpenIdPolicy::Hash, clock.clone()), None),
        };
        let client = Client::lazy(&settings.daemon.addr, settings.daemon.credentials.clone())?;
        let api = WechatApi::new(
            client.clone(),
            wechat_api::Settings {
                api_base: settings.wechat.api_base.clone(),
                connect_timeout: settings.wechat.connect_timeout,
                timeout: settings.wechat.timeout,
                proxy: settings.wechat.proxy.clone(),
                daemon: settings.daemon.addr.clone(),
            },
        )?;
        let late = NotedLate { late: Late::new(api), log: log.clone(), clock: clock.clone() };
        let (rules, programs) = (Arc::<RulesSeat>::default(), Arc::<ProgramSeat>::default());
        let dispatcher = Dispatcher::new(Mode::FirstAnswers, vec![rules.clone(), programs.clone()]);
        let desk = Desk::new(
            desk::Settings {
                deadline: settings.deadline,
                // A push signed ahead of our clock is good until its window ends on the other side.
                window: settings.replay_window * 2,
                memcached: settings.memcached.clone(),
                ..desk::Settings::default()
            },
            dispatcher,
            Arc::new(late),
        );
        Ok(Self { desk: Arc::new(desk), rules, programs, log, writer, client })
    }
}

/// "2 accounts, 5 rules, 1 program".
pub(super) fn summary(accounts: usize, rules: Option<usize>, programs: usize) -> String {
    let count = |many: usize, what: &str| format!("{many} {what}{}", if many == 1 { "" } else { "s" });
    let rules = rules.unwrap_or(0);
    format!("{}, {}, {}", count(accounts, "account"), count(rules, "rule"), count(programs, "program"))
}

fn forwarder(wanted: &ForwardSettings, clock: &Clock) -> Result<Forwarder, MessagesError> {
    let ForwardSettings { name, url, secret, timeout, concurrency } = wanted.clone();
    let settings = forward::Settings {
        name,
        url,
        secret: Some(secret),
        timeout,
        concurrency: usize::try_from(concurrency).unwrap_or(usize::MAX),
    };
    Forwarder::new(settings, clock.clone())
        .map_err(|source| MessagesError::Forward { name: wanted.name.clone(), source })
}

fn callback(account: &CallbackSettings, settings: &MessagesSettings) -> Callback {
    let CallbackSettings { account, mode, token, aes_key, previous_aes_key, receive_id, forward: _ } =
        account;
    Callback {
        account: account.clone(),
        envelope: envelope::Settings {
            token: token.clone(),
            aes_key: aes_key.clone(),
            previous_aes_key: previous_aes_key.clone(),
            receive_id: receive_id.clone(),
            mode: *mode,
            window: settings.replay_window,
        },
    }
}
