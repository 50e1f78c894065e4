//! Menus as `menu.toml`.

use std::fmt::Write as _;

use super::button::{Action, Does, Menu, Menus};
use super::problem::Problem;

/// A file that [`read`](super::read()) reads back. The notes stand in it as comments.
pub fn to_toml(menus: &Menus, notes: &[Problem]) -> String {
    let mut text = String::new();
    for note in notes {
        for line in note.to_string().lines() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# {}", line.replace(|c: char| c.is_control(), " "));
        }
    }
    write_menu(&mut text, &menus.default, "");
    for conditional in &menus.conditional {
        gap(&mut text);
        let fields = conditional.rule.0.iter();
        let fields: Vec<_> =
            fields.map(|(field, value)| format!("{} = {}", field.as_str(), quoted(value))).collect();
        let _ = writeln!(text, "[[conditional]]\nmatchrule = {{ {} }}", fields.join(", "));
        write_menu(&mut text, &conditional.menu, "conditional.");
    }
    text
}

fn gap(text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
}

fn write_menu(text: &mut String, menu: &Menu, prefix: &str) {
    for button in &menu.buttons {
        gap(text);
        let _ = writeln!(text, "[[{prefix}button]]\nname = {}", quoted(&button.name));
        match &button.does {
            Does::Acts(action) => write_action(text, action),
            Does::Opens(items) => {
                for item in items {
                    let _ = writeln!(text, "\n[[{prefix}button.sub_button]]\nname = {}", quoted(&item.name));
                    write_action(text, &item.action);
                }
            }
        }
    }
}

fn write_action(text: &mut String, action: &Action) {
    let _ = writeln!(text, "type = {}", quoted(action.kind()));
    for (field, value) in action.fields() {
        let _ = writeln!(text, "{} = {}", key(field), quoted(value));
    }
}

/// Only what we do not know has other names than bare ones.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

fn quoted(value: &str) -> String {
    ::toml::Value::from(value).to_string()
}
