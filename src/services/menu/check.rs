//! WeChat's rules of a menu, and what works and is probably not meant.
//!
//! All lengths are bytes of UTF-8.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use url::Url;

use super::button::{Action, Button, Conditional, Does, MatchField, Menu, Menus};
use super::draw::width;
use super::problem::Findings;

/// Buttons at the foot.
const BUTTONS: RangeInclusive<usize> = 1..=3;
/// Buttons of an opened list.
const ITEMS: RangeInclusive<usize> = 1..=5;
/// Longest name at the foot.
const BUTTON_NAME: usize = 16;
/// Longest name in a list. Older pages of WeChat say 40.
const ITEM_NAME: usize = 60;
/// Longest key.
const KEY: usize = 128;
/// Longest address.
const URL: usize = 1024;
/// Longest id and path. WeChat names no limit; ids have some 64 bytes.
const ID: usize = 1024;
/// Columns of a name that a phone shows: 4 Chinese characters at the foot, 8 in a list.
const SHOWN: [usize; 2] = [8, 16];
/// Conditional menus that WeChat is said to keep.
const CONDITIONALS: usize = 20;
/// Outside hosts that a conditional menu may lead to (65316).
const OUTSIDE_HOSTS: usize = 3;

/// How the parts of a document are called in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// What stands before `button` of the default menu.
    pub(super) default: &'static str,
    /// The list of conditional menus.
    pub(super) conditional: &'static str,
}

impl Places {
    /// As `menu.toml` calls them.
    pub(super) const OURS: Self = Self { default: "", conditional: "conditional" };
}

/// Everything that WeChat would refuse, and what is odd.
pub fn check(menus: &Menus) -> Findings {
    check_in(menus, &Places::OURS)
}

/// The same with the places of a document.
pub(super) fn check_in(menus: &Menus, places: &Places) -> Findings {
    let mut found = Findings::default();
    check_menu(&menus.default, places.default, &mut found);
    for (nth, conditional) in menus.conditional.iter().enumerate() {
        let place = format!("{}[{nth}]", places.conditional);
        check_conditional(conditional, &place, &mut found);
        let mut later = menus.conditional.iter().enumerate().skip(nth + 1);
        if let Some((other, _)) = later.rfind(|(_, later)| later.rule == conditional.rule) {
            let rule = format!(
                "nobody ever sees this menu: {}[{other}] is for the same users, and WeChat asks the last one first",
                places.conditional
            );
            found.warn(&place, rule);
        }
    }
    if menus.conditional.len() > CONDITIONALS {
        let rule = format!(
            "{} conditional menus may be too many: WeChat is said to keep {CONDITIONALS}",
            menus.conditional.len()
        );
        found.warn(places.conditional, rule);
    }
    found
}

fn check_conditional(conditional: &Conditional, place: &str, found: &mut Findings) {
    let Conditional { rule, menu } = conditional;
    check_menu(menu, &format!("{place}."), found);
    let rule_place = format!("{place}.matchrule");
    if rule.0.is_empty() {
        found.error(&rule_place, "it asks for nothing: name at least one field, for example tag_id = \"2\"");
    }
    let has = |field| rule.0.contains_key(&field);
    for (field, value) in &rule.0 {
        let at = format!("{rule_place}.{}", field.as_str());
        if let Some(wrong) = wrong_match(*field, value) {
            found.error(at, format!("\"{}\" is none: {wrong}", shortened(value)));
        }
    }
    if has(MatchField::Province) && !has(MatchField::Country) {
        found.error(format!("{rule_place}.country"), "it is missing: a province is one of a country");
    }
    if has(MatchField::City) && !has(MatchField::Province) {
        found.error(format!("{rule_place}.province"), "it is missing: a city is one of a province");
    }
    let withdrawn =
        [MatchField::Sex, MatchField::Country, MatchField::Province, MatchField::City, MatchField::Language];
    if withdrawn.into_iter().any(has) {
        let rule = "WeChat has stopped telling users' sex, region and language, and is said to match nobody by \
                    them: use tag_id or client_platform_type";
        found.warn(&rule_place, rule);
    }
    let hosts = outside_hosts(menu);
    if hosts.len() > OUTSIDE_HOSTS {
        let hosts: Vec<String> = hosts.into_iter().collect();
        let rule = format!(
            "it leads to {} hosts ({}): a conditional menu leads to {OUTSIDE_HOSTS} at most",
            hosts.len(),
            hosts.join(", ")
        );
        found.error(place, rule);
    }
}

fn wrong_match(field: MatchField, value: &str) -> Option<&'static str> {
    let digits = !value.is_empty() && value.len() <= 18 && value.bytes().all(|byte| byte.is_ascii_digit());
    let word = !value.trim().is_empty() && !value.chars().any(char::is_control);
    let (fits, rule) = match field {
        MatchField::TagId => (digits, "a tag's id is a number"),
        MatchField::ClientPlatformType => {
            (["1", "2", "3"].contains(&value), "1 is iOS, 2 is Android, 3 is another")
        }
        MatchField::Sex => (["1", "2"].contains(&value), "1 is a man, 2 a woman"),
        MatchField::Language => (word && value.is_ascii(), "a language is written like zh_CN"),
        MatchField::Country | MatchField::Province | MatchField::City => {
            (word, "it is a name of WeChat's list of regions")
        }
    };
    (!fits).then_some(rule)
}

fn outside_hosts(menu: &Menu) -> BTreeSet<String> {
    let actions = menu.buttons.iter().flat_map(|button| match &button.does {
        Does::Opens(items) => items.iter().map(|item| &item.action).collect::<Vec<_>>(),
        Does::Acts(action) => vec![action],
    });
    let urls = actions.filter_map(|action| match action {
        Action::View { url } => Url::parse(url).ok(),
        _ => None,
    });
    let hosts = urls.filter_map(|url| url.host_str().map(str::to_owned));
    hosts.filter(|host| host != "mp.weixin.qq.com").collect()
}

fn check_menu(menu: &Menu, prefix: &str, found: &mut Findings) {
    let place = format!("{prefix}button");
    let count = menu.buttons.len();
    if count == 0 {
        let rule = "it is missing: a menu has 1 to 3 buttons (`zhongkong menu delete` removes all menus)";
        found.error(&place, rule);
    } else if !BUTTONS.contains(&count) {
        found.error(&place, format!("there are {count}: a menu has 1 to 3"));
    }
    for (nth, button) in menu.buttons.iter().enumerate() {
        let place = format!("{place}[{nth}]");
        let Button { name, does } = button;
        check_name(name, &place, BUTTON_NAME, SHOWN[0], found);
        match does {
            Does::Acts(action) => check_action(action, &place, found),
            Does::Opens(items) => {
                let list = format!("{place}.sub_button");
                if items.is_empty() {
                    found.error(&list, "it is empty: a list has 1 to 5 buttons; or give the button a type");
                } else if !ITEMS.contains(&items.len()) {
                    found.error(&list, format!("there are {}: a list has 1 to 5", items.len()));
                }
                for (nth, item) in items.iter().enumerate() {
                    let place = format!("{list}[{nth}]");
                    check_name(&item.name, &place, ITEM_NAME, SHOWN[1], found);
                    check_action(&item.action, &place, found);
                }
            }
        }
    }
}

fn check_name(name: &str, place: &str, limit: usize, shown: usize, found: &mut Findings) {
    let place = format!("{place}.name");
    if name.trim().is_empty() {
        found.error(place, "it is empty: every button has a name");
    } else if let Some(wrong) = unfit(name, limit) {
        found.error(place, wrong);
    } else if width(name) > shown {
        let rule = format!("phones cut \"{name}\" off after about {} Chinese characters", shown / 2);
        found.warn(place, rule);
    }
}

/// A text that is too long, or that JSON would have to escape, which WeChat does not take.
fn unfit(text: &str, limit: usize) -> Option<String> {
    if text.len() > limit {
        let characters = text.chars().count();
        return Some(format!(
            "\"{}\" has {} bytes in UTF-8 ({characters} characters): {limit} are the limit, which is {limit} Latin \
             letters or {} Chinese characters",
            shortened(text),
            text.len(),
            limit / 3
        ));
    }
    let control = text.chars().find(|letter| letter.is_control())?;
    Some(format!("it has a control character (U+{:04X}) in it: remove it", u32::from(control)))
}

fn shortened(text: &str) -> String {
    let plain: String = text.chars().filter(|letter| !letter.is_control()).take(41).collect();
    if plain.chars().count() <= 40 { plain } else { plain.chars().take(40).collect::<String>() + "…" }
}

fn check_action(action: &Action, place: &str, found: &mut Findings) {
    let check = |found: &mut Findings, field: &str, value: &str, limit| {
        let at = format!("{place}.{field}");
        if value.is_empty() {
            found.error(at, format!("it is empty, and {} needs it", action.kind()));
        } else if let Some(wrong) = unfit(value, limit) {
            found.error(at, wrong);
        } else if value.trim() != value {
            found.error(at, "it begins or ends with a blank: remove that");
        } else {
            return true;
        }
        false
    };
    match action {
        Action::Key { kind: _, key } => {
            check(found, "key", key, KEY);
        }
        Action::View { url } => {
            if check(found, "url", url, URL) {
                check_url(url, &format!("{place}.url"), found);
            }
        }
        Action::MiniProgram { url, appid, pagepath } => {
            if check(found, "url", url, URL) {
                check_url(url, &format!("{place}.url"), found);
            }
            if check(found, "appid", appid, ID) && !appid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                let rule = "it is no appid: a mini program's looks like wx0123456789abcdef";
                found.error(format!("{place}.appid"), rule);
            }
            check(found, "pagepath", pagepath, ID);
        }
        Action::Material { kind: _, media_id } => {
            check(found, "media_id", media_id, ID);
        }
        Action::Article { kind: _, article_id } => {
            check(found, "article_id", article_id, ID);
        }
        Action::Other { kind, fields: _ } => {
            let rule = format!(
                "\"{kind}\" can be set in WeChat's console only, not by a program: choose one of {}",
                Action::KINDS.join(", ")
            );
            found.error(format!("{place}.type"), rule);
        }
    }
}

fn check_url(url: &str, place: &str, found: &mut Findings) {
    let web = |parsed: &Url| matches!(parsed.scheme(), "http" | "https") && parsed.has_host();
    let blank = url.chars().any(char::is_whitespace);
    match Url::parse(url) {
        Ok(parsed) if web(&parsed) && !blank => {}
        Ok(_) | Err(_) => {
            let rule = format!(
                "\"{}\" is no address of a page: it begins with http:// or https:// and has no blanks",
                shortened(url)
            );
            found.error(place, rule);
        }
    }
}
