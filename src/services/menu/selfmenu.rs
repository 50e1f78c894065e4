//! Menus made in WeChat's console, put into what a program may set.
//!
//! The console can store a text, a picture or a video in the menu itself; a program can only push
//! an event, open a page, or name material. Each such button becomes the nearest of these, and a
//! note says what became of it.

use super::button::{Action, Button, Does, Item, KeyKind, MaterialKind, Menu};
use super::problem::Problem;

/// The menu as a program may set it, and a note for each button that is not what it was. What has
/// no near neighbour stays as it is, and [`check`](super::check()) will name it.
pub(super) fn translated(menu: &Menu, prefix: &str) -> (Menu, Vec<Problem>) {
    let mut notes = Vec::new();
    let buttons = menu.buttons.iter().enumerate().map(|(nth, button)| {
        let place = format!("{prefix}button[{nth}]");
        let number = nth + 1;
        let does = match &button.does {
            Does::Acts(action) => Does::Acts(turned(action, &place, &format!("reply_{number}"), &mut notes)),
            Does::Opens(items) => {
                let items = items.iter().enumerate().map(|(nth, item)| {
                    let place = format!("{place}.sub_button[{nth}]");
                    let key = format!("reply_{number}_{}", nth + 1);
                    Item { name: item.name.clone(), action: turned(&item.action, &place, &key, &mut notes) }
                });
                Does::Opens(items.collect())
            }
        };
        Button { name: button.name.clone(), does }
    });
    let buttons = buttons.collect();
    (Menu { buttons }, notes)
}

fn turned(action: &Action, place: &str, key: &str, notes: &mut Vec<Problem>) -> Action {
    let Action::Other { kind, fields } = action else { return action.clone() };
    let field = |name: &str| fields.get(name).cloned();
    let (turned, note) = match (kind.as_str(), field("value")) {
        ("text", Some(text)) => (
            Action::Key { kind: KeyKind::Click, key: key.to_owned() },
            format!(
                "the console answers with a text here, which a program cannot put into a menu: it became a click; \
                 have the message service answer it: when.key = {key:?}, reply = {text:?}"
            ),
        ),
        ("img" | "photo" | "voice", Some(media_id)) => (
            Action::Material { kind: MaterialKind::Sent, media_id },
            format!("the console's {kind} became a media_id, which sends the same material"),
        ),
        ("video", Some(url)) if url.starts_with("http://") || url.starts_with("https://") => {
            (Action::View { url }, "the console's video became a view of its address".to_owned())
        }
        ("video", Some(media_id)) => (
            Action::Material { kind: MaterialKind::Sent, media_id },
            "the console's video became a media_id, which sends the same material".to_owned(),
        ),
        ("news", Some(media_id)) => (
            Action::Material { kind: MaterialKind::Sent, media_id },
            "the console's news became a media_id; newer accounts take article_id only: if WeChat refuses it \
             (40007), use the article's id or a view of its address"
                .to_owned(),
        ),
        ("news", None) => match field("news_info.list[0].content_url") {
            Some(url) => {
                (Action::View { url }, "the console's news became a view of the first article".to_owned())
            }
            None => return action.clone(),
        },
        _ => return action.clone(),
    };
    notes.push(Problem::new(place, note));
    turned
}
