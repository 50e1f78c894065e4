//! From a tree to menus: WeChat's field names, in whichever shape they come.
//!
//! Files are read strictly: a key that does not belong there is a mistake of the writer. WeChat's
//! answers are read as they are; what we do not know is kept.

use std::collections::{BTreeMap, HashMap};

use super::action::{built, needs, wechats};
use super::button::{Action, Button, Conditional, Does, Item, KeyKind, MatchField, MatchRule, Menu, Menus};
use super::check::{Places, check_in};
use super::fields::{Fields, Origin, Reader, join, nearest, scalar};
use super::node::{Node, Value};
use super::problem::Problem;
use super::{selfmenu, syntax};

/// Every key that some button has.
const BUTTON_KEYS: [&str; 9] =
    ["name", "type", "sub_button", "key", "url", "appid", "pagepath", "media_id", "article_id"];

/// A file that WeChat would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// What it says.
    pub menus: Menus,
    /// What is odd about it, and what was translated.
    pub warnings: Vec<Problem>,
}

/// Reads a document: TOML, our JSON, the body of `menu/create`, or an answer of `menu/get` or
/// `get_current_selfmenu_info`, which is translated.
///
/// # Errors
/// Everything that is wrong with it, never empty. The writer must change something.
pub fn read(bytes: &[u8]) -> Result<Read, Vec<Problem>> {
    let root = syntax::parse(bytes)?;
    let mut reader = Reader::new(Origin::File);
    let Some((menus, places)) = reader.root(&root) else {
        return Err(reader.findings.errors);
    };
    let Reader { origin: _, mut findings, lines } = reader;
    // What could not be read is missing in the menus, and would be found missing once more.
    if findings.errors.is_empty() {
        let found = check_in(&menus, &places);
        findings.errors.extend(found.errors);
        findings.warnings.extend(found.warnings);
    } else {
        let known: Vec<String> = findings.errors.iter().map(|problem| problem.place.clone()).collect();
        let news = |problem: &Problem| !known.iter().any(|place| covers(place, &problem.place));
        findings.errors.extend(check_in(&menus, &places).errors.into_iter().filter(news));
    }
    for problem in findings.errors.iter_mut().chain(&mut findings.warnings) {
        problem.line = problem.line.or_else(|| line_of(&lines, &problem.place));
    }
    // Stable: where lines are unknown the order of reading stays.
    findings.errors.sort_by_key(|problem| problem.line);
    if findings.errors.is_empty() {
        Ok(Read { menus, warnings: findings.warnings })
    } else {
        Err(findings.errors)
    }
}

/// Whether a mistake at the first place explains one at the second.
fn covers(known: &str, place: &str) -> bool {
    let within = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    within(known, place) || within(place, known)
}

/// The line of a place, or of the nearest thing around it.
fn line_of(lines: &HashMap<String, usize>, place: &str) -> Option<usize> {
    let mut place = place;
    loop {
        if let Some(line) = lines.get(place) {
            return Some(*line);
        }
        let cut = place.rfind(['.', '['])?;
        place = place.get(..cut)?;
    }
}

impl Reader {
    /// The menus of a document, and how their places are called in it.
    fn root(&mut self, root: &Node) -> Option<(Menus, Places)> {
        let mut fields = self.fields(root, "")?;
        if let Some(errcode) = fields.take("errcode").filter(|_| !fields.left.iter().any(is_menu)) {
            let number = scalar(&errcode.value).unwrap_or_default();
            self.findings.error("errcode", format!("this is a refusal of WeChat's ({number}), not a menu"));
            return None;
        }
        fields.take("errmsg");
        if let Some(info) = fields.take("selfmenu_info") {
            fields.take("is_menu_open");
            self.unknown(&fields, &["selfmenu_info"]);
            let menu = self.as_wechat(|reader| reader.menu_of(info, "selfmenu_info"));
            let (default, notes) = selfmenu::translated(&menu, "selfmenu_info.");
            self.findings.warnings.extend(notes);
            let menus = Menus { default, conditional: Vec::new() };
            return Some((menus, Places { default: "selfmenu_info.", conditional: "conditional" }));
        }
        let mut places = Places::OURS;
        let default = if let Some(menu) = fields.take("menu") {
            places.default = "menu.";
            self.menu_of(menu, "menu")
        } else {
            let buttons = fields.take("button");
            self.menu(buttons, "button")
        };
        let conditional = match (fields.take("conditional"), fields.take("conditionalmenu")) {
            (Some(list), None) => self.conditionals(list, "conditional"),
            (None, Some(list)) => {
                places.conditional = "conditionalmenu";
                self.conditionals(list, "conditionalmenu")
            }
            (Some(_), Some(_)) => {
                self.findings.error("conditionalmenu", "conditional says the same: write one of them");
                Vec::new()
            }
            (None, None) => Vec::new(),
        };
        if fields.take("matchrule").is_some() {
            let rule = "this is the body of one conditional menu: put its matchrule and its buttons under \
                        [[conditional]], below the default menu";
            self.findings.error("matchrule", rule);
        }
        fields.take("menuid");
        self.unknown(&fields, &["button", "conditional"]);
        Some((Menus { default, conditional }, places))
    }

    /// A table with `button` in it.
    pub(super) fn menu_of(&mut self, node: &Node, place: &str) -> Menu {
        let Some(mut fields) = self.fields(node, place) else { return Menu::default() };
        let buttons = fields.take("button");
        fields.take("menuid");
        self.unknown(&fields, &["button"]);
        self.menu(buttons, &join(place, "button"))
    }

    fn menu(&mut self, buttons: Option<&Node>, place: &str) -> Menu {
        let Some(buttons) = buttons else { return Menu::default() };
        let nodes = self.list(buttons, place);
        let buttons = nodes.iter().enumerate();
        Menu { buttons: buttons.map(|(nth, node)| self.button(node, &format!("{place}[{nth}]"))).collect() }
    }

    /// A button. What could not be read of it is noted, and has something fitting in its place: so
    /// the others keep their paths, and nothing is found wrong twice.
    fn button(&mut self, node: &Node, place: &str) -> Button {
        let Some(mut fields) = self.fields(node, place) else {
            return Button { name: unread(), does: Does::Acts(unread_action()) };
        };
        let name = self.name(&mut fields);
        let list = fields.at("sub_button");
        let items = fields.take("sub_button").map(|node| self.sub_buttons(node, &list));
        let typed = fields.left.iter().any(|(key, _)| *key == "type");
        let does = match items {
            // WeChat's answers have an empty list beside every type.
            Some(items) if !(items.is_empty() && typed) => {
                if self.origin == Origin::File
                    && let Some((key, _)) = fields.left.iter().find(|(key, _)| BUTTON_KEYS.contains(key))
                {
                    let place = fields.at(key);
                    let rule = "a button with sub_button has only a name besides: remove this, or sub_button";
                    self.findings.error(place, rule);
                }
                fields.left.retain(|(key, _)| !BUTTON_KEYS.contains(key));
                self.unknown(&fields, &BUTTON_KEYS);
                let items = items.iter().enumerate();
                Does::Opens(items.map(|(nth, node)| self.item(node, &format!("{list}[{nth}]"))).collect())
            }
            Some(_) | None => {
                let action = self.action(fields, "a type or a sub_button");
                Does::Acts(action.unwrap_or_else(unread_action))
            }
        };
        Button { name: name.unwrap_or_else(unread), does }
    }

    fn sub_buttons<'n>(&mut self, node: &'n Node, place: &str) -> &'n [Node] {
        if let Value::Table(entries) = &node.value
            && let [(key, list)] = entries.as_slice()
            && key == "list"
        {
            return self.list(list, place);
        }
        self.list(node, place)
    }

    fn item(&mut self, node: &Node, place: &str) -> Item {
        let Some(mut fields) = self.fields(node, place) else {
            return Item { name: unread(), action: unread_action() };
        };
        let name = self.name(&mut fields).unwrap_or_else(unread);
        if let Some(node) = fields.take("sub_button")
            && !self.sub_buttons(node, &fields.at("sub_button")).is_empty()
        {
            self.findings
                .error(fields.at("sub_button"), "a list opens from the foot only: WeChat has two levels");
            return Item { name, action: unread_action() };
        }
        let action = self.action(fields, "a type");
        Item { name, action: action.unwrap_or_else(unread_action) }
    }

    fn name(&mut self, fields: &mut Fields<'_>) -> Option<String> {
        let place = fields.at("name");
        match (fields.take("name"), self.origin) {
            (Some(node), _) => self.text(node, &place),
            (None, Origin::Wechat) => Some(String::new()),
            (None, Origin::File) => {
                self.findings.error(place, "it is missing: every button has a name");
                None
            }
        }
    }

    /// What is left of a button when its name is taken.
    fn action(&mut self, mut fields: Fields<'_>, needed: &str) -> Option<Action> {
        if self.origin == Origin::Wechat {
            return Some(wechats(&fields));
        }
        let place = fields.at("type");
        let Some(node) = fields.take("type") else {
            self.findings.error(&place, format!("it is missing: a button has {needed}"));
            return None;
        };
        let kind = self.text(node, &place)?;
        let Some(names) = needs(&kind) else {
            let advice = match nearest(&kind, &Action::KINDS) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", Action::KINDS.join(", ")),
            };
            self.findings.error(place, format!("there is no type \"{kind}\": {advice}"));
            return None;
        };
        let mut values = BTreeMap::new();
        for name in names {
            let place = fields.at(name);
            match fields.take(name) {
                Some(node) => {
                    if let Some(text) = self.text(node, &place) {
                        values.insert(*name, text);
                    }
                }
                None => self.findings.error(place, format!("it is missing, and {kind} needs it")),
            }
        }
        for (key, _) in &fields.left {
            if BUTTON_KEYS.contains(key) {
                let has = names.join(", ");
                self.findings.error(fields.at(key), format!("{kind} has no {key}: it has {has}"));
            }
        }
        fields.left.retain(|(key, _)| !BUTTON_KEYS.contains(key));
        self.unknown(&fields, &BUTTON_KEYS);
        built(&kind, |name| values.remove(name))
    }

    fn conditionals(&mut self, node: &Node, place: &str) -> Vec<Conditional> {
        let nodes = self.list(node, place);
        let all = nodes.iter().enumerate();
        all.map(|(nth, node)| self.conditional(node, &format!("{place}[{nth}]"))).collect()
    }

    pub(super) fn conditional(&mut self, node: &Node, place: &str) -> Conditional {
        let Some(mut fields) = self.fields(node, place) else {
            return Conditional { rule: MatchRule::default(), menu: Menu::default() };
        };
        fields.take("menuid");
        let buttons = fields.take("button");
        let menu = self.menu(buttons, &fields.at("button"));
        let rule_place = fields.at("matchrule");
        let rule = fields.take("matchrule").map(|node| self.rule(node, &rule_place)).unwrap_or_default();
        self.unknown(&fields, &["matchrule", "button"]);
        Conditional { rule, menu }
    }

    fn rule(&mut self, node: &Node, place: &str) -> MatchRule {
        let Some(mut fields) = self.fields(node, place) else { return MatchRule::default() };
        let mut rule = BTreeMap::new();
        for field in MatchField::ALL {
            let mut name = field.as_str();
            let mut found = fields.take(name);
            // The name in WeChat's answers, and in older files.
            if field == MatchField::TagId && found.is_none() {
                name = "group_id";
                found = fields.take(name);
            }
            let Some(node) = found else { continue };
            let place = fields.at(name);
            let Some(text) = scalar(&node.value) else {
                self.findings
                    .error(place, format!("{} stands here, but text is needed", node.value.called()));
                continue;
            };
            // WeChat's answers have what a rule does not ask for as nothing.
            let nothing = text.is_empty() || (text == "0" && field != MatchField::TagId);
            if self.origin == Origin::File || !nothing {
                rule.insert(field, text);
            }
        }
        self.unknown(&fields, &MatchField::ALL.map(MatchField::as_str));
        MatchRule(rule)
    }
}

/// Where a name could not be read: one that nothing is wrong with.
fn unread() -> String {
    "?".to_owned()
}

/// The same for what a button does.
fn unread_action() -> Action {
    Action::Key { kind: KeyKind::Click, key: unread() }
}

fn is_menu((key, _): &(&str, &Node)) -> bool {
    ["menu", "button", "selfmenu_info"].contains(key)
}
