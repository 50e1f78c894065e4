//! What a button does, from its fields.

use std::collections::BTreeMap;

use super::button::{Action, ArticleKind, KeyKind, MaterialKind};
use super::fields::{Fields, scalar};
use super::node::{Node, Value};

/// What WeChat says that a button does, known or not.
pub(super) fn wechats(fields: &Fields<'_>) -> Action {
    let text = |name: &str| {
        let found = fields.left.iter().find(|(key, _)| *key == name);
        found.and_then(|(_, node)| scalar(&node.value))
    };
    let kind = text("type").unwrap_or_default();
    if let Some(action) = built(&kind, |name| text(name).filter(|text| !text.is_empty())) {
        return action;
    }
    let mut others = BTreeMap::new();
    for (key, node) in &fields.left {
        if *key != "type" {
            flatten(key, node, &mut others);
        }
    }
    Action::Other { kind, fields: others }
}

/// Nested fields under dotted names: `news_info.list[0].title`.
fn flatten(name: &str, node: &Node, into: &mut BTreeMap<String, String>) {
    match &node.value {
        Value::Table(entries) => {
            for (key, inner) in entries {
                flatten(&format!("{name}.{key}"), inner, into);
            }
        }
        Value::List(nodes) => {
            for (nth, inner) in nodes.iter().enumerate() {
                flatten(&format!("{name}[{nth}]"), inner, into);
            }
        }
        value => {
            let text = scalar(value).filter(|text| !text.is_empty());
            into.extend(text.map(|text| (name.to_owned(), text)));
        }
    }
}

/// What a type needs besides its name.
pub(super) fn needs(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "view" => &["url"],
        "miniprogram" => &["url", "appid", "pagepath"],
        "media_id" | "view_limited" => &["media_id"],
        "article_id" | "article_view_limited" => &["article_id"],
        _ if KeyKind::ALL.iter().any(|known| known.as_str() == kind) => &["key"],
        _ => return None,
    })
}

/// The action of a type, if all that it needs is there.
pub(super) fn built(kind: &str, mut value: impl FnMut(&str) -> Option<String>) -> Option<Action> {
    let material = |kind| move |media_id| Action::Material { kind, media_id };
    let article = |kind| move |article_id| Action::Article { kind, article_id };
    match kind {
        "view" => value("url").map(|url| Action::View { url }),
        "miniprogram" => {
            let (url, appid, pagepath) = (value("url"), value("appid"), value("pagepath"));
            Some(Action::MiniProgram { url: url?, appid: appid?, pagepath: pagepath? })
        }
        "media_id" => value("media_id").map(material(MaterialKind::Sent)),
        "view_limited" => value("media_id").map(material(MaterialKind::Opened)),
        "article_id" => value("article_id").map(article(ArticleKind::Sent)),
        "article_view_limited" => value("article_id").map(article(ArticleKind::Opened)),
        _ => {
            let kind = KeyKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
            value("key").map(|key| Action::Key { kind, key })
        }
    }
}
