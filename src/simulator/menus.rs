//! The account's menu: what programs make of it, what its console makes, and who sees which.
//!
//! Programs make a default menu and, after it, conditional ones; users see the last one whose rule
//! fits them. The console's menu stands in place of the default one until a program makes another.
//! Left out: what a tap does, and the five minutes that phones keep an old menu for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::errcode::Refusal;
use super::menu_rules;
use super::oauth::object;
use super::settings::DAY;
use super::state::{Counter, State};
use super::wire::Request;

/// The number of the first menu; those of WeChat's page look like it.
const FIRST_MENUID: u64 = 208_396_938;

/// The menus of all accounts.
#[derive(Debug, Default)]
pub(super) struct Menus {
    accounts: HashMap<String, AccountMenus>,
    made: u64,
}

/// The menus of one account, and what decides about them.
#[derive(Debug, Default)]
pub(super) struct AccountMenus {
    /// What programs made.
    default: Option<Made>,
    conditional: Vec<Made>,
    /// What the console made after that: the list `button` in the console's own shape.
    console: Option<Value>,
    /// Mini programs that buttons may open; all where nobody has listed some.
    linked: Option<BTreeSet<String>>,
    users: BTreeMap<String, MenuUser>,
    today: BTreeMap<Call, Counter>,
}

/// A menu that a program made.
#[derive(Clone, Debug)]
struct Made {
    menuid: u64,
    buttons: Vec<Value>,
    rule: Map<String, Value>,
}

/// What rules may ask of a user: `tag_id`, `client_platform_type` and so on, as text.
pub type MenuUser = BTreeMap<String, String>;

/// What the counts of a day count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    Create,
    Get,
    Delete,
    Conditional,
}

/// The menus of an account, as its console would show them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownMenus {
    /// The default menu of programs, as it was pushed.
    pub default: Option<Value>,
    /// The conditional ones with rule and number, in the order of their making.
    pub conditional: Vec<Value>,
    /// The console's menu, where that is what users see.
    pub console: Option<Value>,
}

impl Menus {
    /// An account's menus; empty where nothing was ever made.
    pub(super) fn shown(&self, appid: &str) -> ShownMenus {
        let Some(account) = self.accounts.get(appid) else {
            return ShownMenus { default: None, conditional: Vec::new(), console: None };
        };
        let conditional = account.conditional.iter();
        ShownMenus {
            default: account.default.as_ref().map(|made| json!({ "button": made.buttons })),
            conditional: conditional
                .map(|made| json!({ "button": made.buttons, "matchrule": made.rule, "menuid": made.menuid }))
                .collect(),
            console: account.console.clone(),
        }
    }

    pub(super) fn account(&mut self, appid: &str) -> &mut AccountMenus {
        self.accounts.entry(appid.to_owned()).or_default()
    }

    fn next_menuid(&mut self) -> u64 {
        self.made += 1;
        FIRST_MENUID + self.made - 1
    }
}

impl AccountMenus {
    pub(super) fn set_console(&mut self, buttons: Value) {
        self.console = Some(buttons);
    }

    pub(super) fn set_linked(&mut self, appids: impl IntoIterator<Item = String>) {
        self.linked = Some(appids.into_iter().collect());
    }

    pub(super) fn set_user(&mut self, id: String, user: MenuUser) {
        self.users.insert(id, user);
    }
}

impl State {
    /// `menu/create`.
    pub(super) fn create_menu(
        &mut self,
        appid: &str,
        request: &Request,
        now: Instant,
    ) -> Result<Map<String, Value>, Refusal> {
        let limit = self.settings.limits.menu_changes_daily;
        self.count(appid, Call::Create, limit, now)?;
        let body = menu_rules::body(request)?;
        let account = self.menus.account(appid);
        let buttons = menu_rules::default_menu(body, account.linked.as_ref())?;
        let menuid = self.menus.next_menuid();
        let account = self.menus.account(appid);
        account.default = Some(Made { menuid, buttons, rule: Map::new() });
        account.console = None;
        Ok(fine())
    }

    /// `menu/addconditional`.
    pub(super) fn add_conditional(
        &mut self,
        appid: &str,
        request: &Request,
        now: Instant,
    ) -> Result<Map<String, Value>, Refusal> {
        let limits = self.settings.limits.clone();
        self.count(appid, Call::Conditional, limits.conditional_changes_daily, now)?;
        let body = menu_rules::body(request)?;
        let account = self.menus.account(appid);
        if account.default.is_none() {
            return Err(Refusal::new(65303));
        }
        if account.conditional.len() >= limits.conditional_menus {
            return Err(Refusal::new(65305));
        }
        let (buttons, rule) = menu_rules::conditional_menu(body, account.linked.as_ref())?;
        let menuid = self.menus.next_menuid();
        self.menus.account(appid).conditional.push(Made { menuid, buttons, rule });
        Ok(object(json!({ "menuid": menuid.to_string() })))
    }

    /// `menu/delconditional`.
    pub(super) fn delete_conditional(
        &mut self,
        appid: &str,
        request: &Request,
        now: Instant,
    ) -> Result<Map<String, Value>, Refusal> {
        let limit = self.settings.limits.conditional_changes_daily;
        self.count(appid, Call::Conditional, limit, now)?;
        let body = menu_rules::body(request)?;
        let menuid = body.get("menuid").and_then(number).ok_or_else(|| Refusal::new(65301))?;
        let account = self.menus.account(appid);
        let at = account.conditional.iter().position(|made| made.menuid == menuid);
        account.conditional.remove(at.ok_or_else(|| Refusal::new(65301))?);
        Ok(fine())
    }

    /// `menu/get`.
    pub(super) fn get_menus(&mut self, appid: &str, now: Instant) -> Result<Map<String, Value>, Refusal> {
        let limit = self.settings.limits.menu_reads_daily;
        self.count(appid, Call::Get, limit, now)?;
        let account = self.menus.account(appid);
        let default = account.default.as_ref().ok_or_else(|| Refusal::new(46003))?;
        let mut fields = Map::new();
        fields.insert(
            "menu".to_owned(),
            json!({ "button": answered(&default.buttons), "menuid": default.menuid }),
        );
        if !account.conditional.is_empty() {
            // The newest first: callers must not rely on an order that WeChat does not promise.
            let all = account.conditional.iter().rev().map(|made| {
                json!({
                    "button": answered(&made.buttons),
                    "matchrule": answered_rule(&made.rule),
                    "menuid": made.menuid,
                })
            });
            fields.insert("conditionalmenu".to_owned(), all.collect());
        }
        Ok(fields)
    }

    /// `menu/delete`: all that there is.
    pub(super) fn delete_menus(&mut self, appid: &str, now: Instant) -> Result<Map<String, Value>, Refusal> {
        let limit = self.settings.limits.menu_changes_daily;
        self.count(appid, Call::Delete, limit, now)?;
        let account = self.menus.account(appid);
        account.default = None;
        account.conditional.clear();
        account.console = None;
        Ok(fine())
    }

    /// `menu/trymatch`.
    pub(super) fn match_menu(
        &mut self,
        appid: &str,
        request: &Request,
    ) -> Result<Map<String, Value>, Refusal> {
        let body = menu_rules::body(request)?;
        let id = body.get("user_id").and_then(Value::as_str).unwrap_or_default();
        let account = self.menus.account(appid);
        if account.default.is_none() {
            return Err(Refusal::new(46003));
        }
        let follower = account.users.get(id).ok_or_else(|| Refusal::new(65302))?;
        let fits = |made: &&Made| {
            made.rule.iter().all(|(field, wanted)| {
                let has = follower.get(field.as_str()).map(String::as_str).unwrap_or_default();
                wanted.as_str() == Some(has) || number(wanted).is_some_and(|wanted| has == wanted.to_string())
            })
        };
        let found = account.conditional.iter().rev().find(fits).or(account.default.as_ref());
        let buttons = found.map(|made| answered(&made.buttons));
        Ok(object(json!({ "button": buttons })))
    }

    /// `get_current_selfmenu_info`.
    pub(super) fn selfmenu(&mut self, appid: &str) -> Map<String, Value> {
        let account = self.menus.account(appid);
        let buttons = account.console.clone().or_else(|| {
            let made = account.default.as_ref()?;
            Some(made.buttons.iter().map(as_console).collect())
        });
        match buttons {
            Some(buttons) => object(json!({ "is_menu_open": 1, "selfmenu_info": { "button": buttons } })),
            None => object(json!({ "is_menu_open": 0, "selfmenu_info": { "button": [] } })),
        }
    }

    fn count(&mut self, appid: &str, call: Call, limit: u32, now: Instant) -> Result<(), Refusal> {
        let age = self.age(now);
        let counter = self.menus.account(appid).today.entry(call).or_default();
        if counter.used(age, DAY) >= limit {
            return Err(Refusal::new(45009));
        }
        counter.add(age, DAY);
        Ok(())
    }
}

fn fine() -> Map<String, Value> {
    object(json!({ "errcode": 0, "errmsg": "ok" }))
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Buttons as `menu/get` answers them: each has a list, if an empty one.
fn answered(buttons: &[Value]) -> Value {
    let with_list = |button: &Value| {
        let mut button = button.clone();
        if let Some(fields) = button.as_object_mut() {
            let items = fields.get("sub_button").and_then(Value::as_array).cloned().unwrap_or_default();
            fields.insert("sub_button".to_owned(), answered(&items));
        }
        button
    };
    buttons.iter().map(with_list).collect()
}

/// A rule as `menu/get` answers it: numbers as such, and a tag under its old name.
fn answered_rule(rule: &Map<String, Value>) -> Value {
    let field = |(name, value): (&String, &Value)| {
        let name = if name == "tag_id" { "group_id" } else { name };
        (name.to_owned(), number(value).map_or_else(|| value.clone(), Value::from))
    };
    Value::Object(rule.iter().map(field).collect())
}

/// A button as `get_current_selfmenu_info` answers it.
fn as_console(button: &Value) -> Value {
    let mut button = button.clone();
    if let Some(fields) = button.as_object_mut() {
        match fields.remove("sub_button") {
            Some(Value::Array(items)) if !items.is_empty() => {
                fields.insert("sub_button".to_owned(), json!({ "list": items }));
            }
            Some(_) | None => {}
        }
    }
    button
}
