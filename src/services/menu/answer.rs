//! What WeChat says that an account's menus are.
//!
//! Two endpoints know half each: `get_current_selfmenu_info` what users see, whoever made it, and
//! `menu/get` what programs have made, the conditional menus among it. Where both know the default
//! menu, what users see is what is live.

use serde::Deserialize as _;
use serde_json::Value as Json;

use super::button::{Conditional, Menu, Menus};
use super::fields::{Origin, Reader};
use super::node::{Node, Value};
use super::problem::Problem;
use super::selfmenu;

/// The menus of an account, as WeChat answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Who made the default menu.
    pub maker: Maker,
    /// The default menu; console-made ones have buttons that no program can set.
    pub default: Menu,
    /// In the order of publication.
    pub conditional: Vec<LiveConditional>,
}

/// Who made a default menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// A program did.
    Program,
    /// Somebody in WeChat's console.
    Console,
    /// There is none, or it is switched off.
    Nobody,
}

impl Maker {
    /// `program`, `console`, `nobody`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Console => "console",
            Self::Nobody => "nobody",
        }
    }
}

/// A conditional menu with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveConditional {
    /// WeChat's number of it.
    pub menuid: String,
    /// What it is.
    pub conditional: Conditional,
}

/// WeChat's answer is not what its pages say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("WeChat's answer is not a menu as its pages describe it: {0}")]
pub struct AnswerError(pub(super) String);

impl Live {
    /// Reads the answers of `get_current_selfmenu_info` and of `menu/get`; the latter refuses
    /// (46003) where no program has made a menu.
    ///
    /// # Errors
    /// One of them has no tables and lists where WeChat has them.
    pub fn of(selfmenu: &Json, menus: Option<&Json>) -> Result<Self, AnswerError> {
        let selfmenu = node(selfmenu)?;
        let seen = seen(&selfmenu)?;
        let (made, conditional) = match menus {
            Some(menus) => made(&node(menus)?)?,
            None => (Menu::default(), Vec::new()),
        };
        let maker = if seen.buttons.is_empty() {
            Maker::Nobody
        } else if seen == made {
            Maker::Program
        } else {
            Maker::Console
        };
        Ok(Self { maker, default: seen, conditional })
    }

    /// The buttons that a user sees (`menu/trymatch`).
    ///
    /// # Errors
    /// As [`Live::of`].
    pub fn matched(answer: &Json) -> Result<Menu, AnswerError> {
        let answer = node(answer)?;
        // WeChat's page shows the list as such; SDKs have seen it within `menu`.
        let inner = entry(&answer, "menu").unwrap_or(&answer);
        reading(|reader| reader.menu_of(inner, ""))
    }

    /// All menus, as they are.
    pub fn menus(&self) -> Menus {
        let conditional = self.conditional.iter().map(|live| live.conditional.clone()).collect();
        Menus { default: self.default.clone(), conditional }
    }

    /// All menus as a program may set them, and what became of buttons that were made in the
    /// console.
    pub fn settable(&self) -> (Menus, Vec<Problem>) {
        let (default, notes) = selfmenu::translated(&self.default, "");
        (Menus { default, ..self.menus() }, notes)
    }
}

impl Menus {
    /// Reads what [`Serialize`](serde::Serialize) wrote, whatever was in it.
    ///
    /// # Errors
    /// It was written by something else.
    pub fn stored(text: &str) -> Result<Self, AnswerError> {
        let root: Node = serde_json::from_str(text).map_err(|error| AnswerError(error.to_string()))?;
        let default = reading(|reader| reader.menu_of(&root, ""))?;
        let conditional = match entry(&root, "conditional").map(|list| &list.value) {
            None => Vec::new(),
            Some(Value::List(nodes)) => {
                let one = |node| reading(|reader| reader.conditional(node, "conditional"));
                nodes.iter().map(one).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(AnswerError("conditional is not a list".to_owned())),
        };
        Ok(Self { default, conditional })
    }
}

fn node(answer: &Json) -> Result<Node, AnswerError> {
    Node::deserialize(answer).map_err(|error| AnswerError(error.to_string()))
}

fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Table(entries) = &node.value else { return None };
    entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
}

fn text(node: &Node, key: &str) -> Option<String> {
    match &entry(node, key)?.value {
        Value::Text(text) | Value::Number(text) => Some(text.clone()),
        _ => None,
    }
}

fn reading<R>(read: impl FnOnce(&mut Reader) -> R) -> Result<R, AnswerError> {
    let mut reader = Reader::new(Origin::Wechat);
    let done = read(&mut reader);
    match reader.findings.errors.first() {
        None => Ok(done),
        Some(problem) => Err(AnswerError(problem.to_string())),
    }
}

fn seen(selfmenu: &Node) -> Result<Menu, AnswerError> {
    if text(selfmenu, "is_menu_open").as_deref() == Some("0") {
        return Ok(Menu::default());
    }
    match entry(selfmenu, "selfmenu_info") {
        None => Ok(Menu::default()),
        Some(info) => reading(|reader| reader.menu_of(info, "selfmenu_info")),
    }
}

/// The default menu and the conditional ones that programs have made.
fn made(menus: &Node) -> Result<(Menu, Vec<LiveConditional>), AnswerError> {
    let default = match entry(menus, "menu") {
        None => Menu::default(),
        Some(menu) => reading(|reader| reader.menu_of(menu, "menu"))?,
    };
    let mut all = Vec::new();
    if let Some(list) = entry(menus, "conditionalmenu") {
        let Value::List(nodes) = &list.value else {
            return Err(AnswerError("conditionalmenu is not a list".to_owned()));
        };
        for (nth, node) in nodes.iter().enumerate() {
            let place = format!("conditionalmenu[{nth}]");
            let menuid = text(node, "menuid").ok_or_else(|| AnswerError(format!("{place} has no menuid")))?;
            let conditional = reading(|reader| reader.conditional(node, &place))?;
            all.push(LiveConditional { menuid, conditional });
        }
    }
    // Numbers grow, and WeChat's page does not say in which order it answers.
    all.sort_by_key(|live| (live.menuid.len(), live.menuid.clone()));
    Ok((default, all))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{check, read, to_toml};
    use super::*;

    /// The example of WeChat's page on console-made menus, shortened.
    fn console() -> Json {
        json!({ "is_menu_open": 1, "selfmenu_info": { "button": [
            { "name": "button", "sub_button": { "list": [
                { "type": "view", "name": "view_url", "url": "http://www.qq.com" },
                { "type": "news", "name": "news", "value": "KQb_w_Tiz-nSdVLoTV35Psmty8hGBulGhEdbb9SKs-o",
                  "news_info": { "list": [{ "title": "MULTI_NEWS", "show_cover": 1, "content_url": "http://mp.weixin.qq.com/s?a=1" }] } },
                { "type": "video", "name": "video", "value": "http://61.182.130.30/vweixinp.tc.qq.com/1007_114" },
                { "type": "voice", "name": "voice", "value": "nTXe3aghlQ4XYHa0AQPWiQQbFW9RVtaYTLPC1PCQx11qc9UB6CiUPFjdkeEtJicn" }] } },
            { "type": "text", "name": "text", "value": "This is \"text\"!\n第二行" },
            { "type": "finder", "name": "未来", "username": "v2_1", "nested": { "a": [1, "b"] } }] } })
    }

    #[test]
    fn console_made_menu_is_live_as_it_is_and_settable_as_far_as_it_can_be() {
        let live = Live::of(&console(), None).unwrap();
        assert_eq!(live.maker, Maker::Console);
        let (menus, notes) = live.settable();
        let json = serde_json::to_value(&menus).unwrap();
        assert_eq!(
            json["button"][0]["sub_button"][1]["media_id"],
            "KQb_w_Tiz-nSdVLoTV35Psmty8hGBulGhEdbb9SKs-o"
        );
        assert_eq!(json["button"][0]["sub_button"][2]["type"], "view");
        assert_eq!(json["button"][0]["sub_button"][3]["type"], "media_id");
        assert_eq!(json["button"][1]["key"], "reply_2");
        let said: Vec<String> = notes.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(said[3].starts_with("button[1]: the console answers with a text here"), "{said:?}");
        assert!(
            said[3].ends_with(r#"when.key = "reply_2", reply = "This is \"text\"!\n第二行""#),
            "{said:?}"
        );
        // The one that nobody knows is kept, named, and not taken for settable.
        assert_eq!(json["button"][2]["nested.a[1]"], "b");
        let found = check(&menus);
        assert_eq!(found.errors.len(), 1, "{found:?}");
        assert!(
            found.errors[0]
                .to_string()
                .starts_with("button[2].type: \"finder\" can be set in WeChat's console only")
        );
        // What it writes is a file that says the same, but for that one.
        let toml = to_toml(&menus, &notes);
        let problems = read(toml.as_bytes()).unwrap_err();
        assert!(
            problems.iter().all(|problem| problem.place.starts_with("button[2]")),
            "{problems:?}\n{toml}"
        );
        // The answer itself is a file, too.
        let text = console().to_string().replace("finder", "click").replace("username", "key");
        let file = read(text.as_bytes()).unwrap();
        assert_eq!((file.menus.default.buttons.len(), file.warnings.len()), (3, 4), "{file:?}");
    }

    #[test]
    fn program_made_menus_are_known_by_both_answers_agreeing() {
        let seen = json!({ "is_menu_open": 1, "selfmenu_info": { "button": [
            { "name": "m", "sub_button": { "list": [{ "type": "click", "name": "n", "key": "k" }] } }] } });
        let got = json!({ "menu": { "button": [
            { "name": "m", "sub_button": [{ "type": "click", "name": "n", "key": "k", "sub_button": [] }] }], "menuid": 1 },
            "conditionalmenu": [
                { "button": [{ "type": "click", "name": "x", "key": "k" }], "matchrule": { "group_id": 0, "sex": 0, "city": "" }, "menuid": 1002 },
                { "button": [{ "type": "click", "name": "y", "key": "k" }], "matchrule": { "tag_id": "3" }, "menuid": 999 }] });
        let live = Live::of(&seen, Some(&got)).unwrap();
        assert_eq!(live.maker, Maker::Program);
        let ids: Vec<&str> = live.conditional.iter().map(|live| live.menuid.as_str()).collect();
        assert_eq!(ids, ["999", "1002"], "the older one first");
        assert_eq!(
            live.conditional[1].conditional.rule.to_string(),
            "tag_id = 0",
            "what is nothing is no rule"
        );
        let other = json!({ "menu": { "button": [{ "type": "click", "name": "old", "key": "k" }] } });
        assert_eq!(Live::of(&seen, Some(&other)).unwrap().maker, Maker::Console);
        let off = json!({ "is_menu_open": 0, "selfmenu_info": { "button": [] } });
        let off = Live::of(&off, Some(&got)).unwrap();
        assert_eq!((off.maker, off.default.buttons.len(), off.conditional.len()), (Maker::Nobody, 0, 2));
    }

    #[test]
    fn matched_menu_is_read_in_both_shapes_and_nonsense_is_an_error() {
        let buttons = json!([{ "type": "view", "name": "n", "url": "http://a/", "sub_button": [] }]);
        for answer in [json!({ "button": buttons }), json!({ "menu": { "button": buttons } })] {
            assert_eq!(Live::matched(&answer).unwrap().buttons.len(), 1);
        }
        for nonsense in [json!({ "button": 7 }), json!({ "button": [7] })] {
            let error = Live::matched(&nonsense).unwrap_err();
            assert!(error.to_string().contains("button"), "{error}");
        }
    }
}
