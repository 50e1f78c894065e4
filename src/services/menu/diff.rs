//! What differs between the live menus and a file's, button by button.
//!
//! Buttons are paired by their name, then by what they do, then by their position, so that a
//! renamed button is a change and not a removal beside an addition.

use serde::Serialize;

use super::button::{Action, Does, MatchRule, Menu, Menus};

/// All differences; no part where nothing differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The menus that differ.
    pub parts: Vec<Part>,
}

/// A menu that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Whom the menu is for; none for the default one.
    pub matchrule: Option<MatchRule>,
    /// What becomes of the menu as a whole.
    pub how: How,
    /// What becomes of its buttons, in the order of the file, removed ones last.
    pub changes: Vec<Change>,
}

/// What becomes of a menu or a button when the file is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It stays and is different.
    Changed,
    /// It stays and stands elsewhere among the others.
    Moved,
}

/// A button that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its path in the file; of a removed one its path in the live menu.
    pub place: String,
    /// What becomes of it.
    pub how: How,
    /// Its name, the file's where it has one.
    pub name: String,
    /// What differs; of an added or a removed one all that it has.
    pub fields: Vec<FieldChange>,
}

/// A field that differs. None where the button does not have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// WeChat's name.
    pub field: String,
    /// What is live.
    pub live: Option<String>,
    /// What the file says.
    pub file: Option<String>,
}

impl Diff {
    /// What a push of the file would change.
    pub fn between(live: &Menus, file: &Menus) -> Self {
        let mut parts = Vec::new();
        let changes = in_menu(&live.default, &file.default, "");
        if !changes.is_empty() {
            let how = match (live.default.buttons.is_empty(), file.default.buttons.is_empty()) {
                (true, _) => How::Added,
                (false, true) => How::Removed,
                (false, false) => How::Changed,
            };
            parts.push(Part { matchrule: None, how, changes });
        }
        let rules = |menus: &Menus| menus.conditional.iter().map(|one| one.rule.clone()).collect::<Vec<_>>();
        let (live_rules, file_rules) = (rules(live), rules(file));
        let pairs = paired(&live_rules, &file_rules, &[&|a, b| a == b]);
        let moved = moved(&pairs);
        let menu = |menus: &Menus, at: Option<usize>| {
            at.and_then(|at| menus.conditional.get(at)).map(|one| one.menu.clone()).unwrap_or_default()
        };
        for pair in &pairs {
            let (prefix, rule) = match *pair {
                (_, Some(at)) => (format!("conditional[{at}]."), file_rules.get(at)),
                (at, None) => {
                    let at = at.unwrap_or_default();
                    (format!("conditional[{at}]."), live_rules.get(at))
                }
            };
            let changes = in_menu(&menu(live, pair.0), &menu(file, pair.1), &prefix);
            let how = match *pair {
                (None, _) => How::Added,
                (_, None) => How::Removed,
                _ if !changes.is_empty() => How::Changed,
                (Some(at), _) if moved.contains(&at) => How::Moved,
                _ => continue,
            };
            parts.push(Part { matchrule: rule.cloned(), how, changes });
        }
        Self { parts }
    }

    /// Whether a push would change nothing.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// A button of either level.
struct Entry<'a> {
    name: &'a str,
    /// Its type and what it needs.
    fields: Vec<(&'a str, &'a str)>,
    items: Vec<Entry<'a>>,
}

impl<'a> Entry<'a> {
    fn acting(name: &'a str, action: &'a Action) -> Self {
        let mut fields = vec![("type", action.kind())];
        fields.extend(action.fields());
        Self { name, fields, items: Vec::new() }
    }

    fn all(menu: &'a Menu) -> Vec<Self> {
        let entry = |button: &'a super::Button| match &button.does {
            Does::Acts(action) => Self::acting(&button.name, action),
            Does::Opens(items) => {
                let items = items.iter().map(|item| Self::acting(&item.name, &item.action)).collect();
                Self { name: &button.name, fields: Vec::new(), items }
            }
        };
        menu.buttons.iter().map(entry).collect()
    }
}

fn in_menu(live: &Menu, file: &Menu, prefix: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    in_list(&Entry::all(live), &Entry::all(file), &format!("{prefix}button"), &mut changes);
    changes
}

fn in_list(live: &[Entry<'_>], file: &[Entry<'_>], list: &str, changes: &mut Vec<Change>) {
    let same_name = |a: &Entry<'_>, b: &Entry<'_>| a.name == b.name;
    let same_action = |a: &Entry<'_>, b: &Entry<'_>| !a.fields.is_empty() && a.fields == b.fields;
    let opens_both = |a: &Entry<'_>, b: &Entry<'_>| a.items.is_empty() == b.items.is_empty();
    let pairs = paired(live, file, &[&same_name, &same_action, &opens_both]);
    let moved = moved(&pairs);
    for pair in pairs {
        match pair {
            (Some(old), Some(new)) => {
                let (Some(before), Some(after)) = (live.get(old), file.get(new)) else { continue };
                let place = format!("{list}[{new}]");
                let mut fields = changed_fields(&before.fields, &after.fields);
                if before.name != after.name {
                    let change = FieldChange {
                        field: "name".to_owned(),
                        live: Some(before.name.to_owned()),
                        file: Some(after.name.to_owned()),
                    };
                    fields.insert(0, change);
                }
                let name = after.name.to_owned();
                if !fields.is_empty() {
                    changes.push(Change { place: place.clone(), how: How::Changed, name, fields });
                } else if moved.contains(&old) {
                    changes.push(Change { place: place.clone(), how: How::Moved, name, fields });
                }
                in_list(&before.items, &after.items, &format!("{place}.sub_button"), changes);
            }
            (None, Some(new)) => {
                let Some(after) = file.get(new) else { continue };
                let place = format!("{list}[{new}]");
                let fields = changed_fields(&[], &after.fields);
                let name = after.name.to_owned();
                changes.push(Change { place: place.clone(), how: How::Added, name, fields });
                in_list(&[], &after.items, &format!("{place}.sub_button"), changes);
            }
            (Some(old), None) => {
                let Some(before) = live.get(old) else { continue };
                let fields = changed_fields(&before.fields, &[]);
                let place = format!("{list}[{old}]");
                let name = before.name.to_owned();
                changes.push(Change { place: place.clone(), how: How::Removed, name, fields });
                in_list(&before.items, &[], &format!("{place}.sub_button"), changes);
            }
            (None, None) => {}
        }
    }
}

fn changed_fields(live: &[(&str, &str)], file: &[(&str, &str)]) -> Vec<FieldChange> {
    let value = |fields: &[(&str, &str)], name: &str| {
        fields.iter().find(|(field, _)| *field == name).map(|(_, value)| (*value).to_owned())
    };
    let mut names: Vec<&str> = file.iter().map(|(name, _)| *name).collect();
    names.extend(live.iter().map(|(name, _)| *name).filter(|name| value(file, name).is_none()));
    let change = |name: &&str| {
        let (live, file) = (value(live, name), value(file, name));
        (live != file).then(|| FieldChange { field: (*name).to_owned(), live, file })
    };
    names.iter().filter_map(change).collect()
}

/// Two members are the same one, by some measure.
type Same<'a, T> = &'a dyn Fn(&T, &T) -> bool;

/// Pairs the members of two lists: for each measure in turn, each member of the second list with
/// the first member of the first that is free. In the order of the second list, then the rest.
fn paired<T>(live: &[T], file: &[T], measures: &[Same<'_, T>]) -> Vec<(Option<usize>, Option<usize>)> {
    let mut partner: Vec<Option<usize>> = vec![None; file.len()];
    for same in measures {
        for (new, after) in file.iter().enumerate() {
            if partner.get(new).is_some_and(Option::is_some) {
                continue;
            }
            let free = |old: usize| !partner.contains(&Some(old));
            let found = live.iter().enumerate().find(|(old, before)| free(*old) && same(before, after));
            if let (Some((old, _)), Some(slot)) = (found, partner.get_mut(new)) {
                *slot = Some(old);
            }
        }
    }
    let mut pairs: Vec<_> = partner.iter().enumerate().map(|(new, old)| (*old, Some(new))).collect();
    let rest = (0..live.len()).filter(|old| !partner.contains(&Some(*old)));
    pairs.extend(rest.map(|old| (Some(old), None)));
    pairs
}

/// Those of the first list that stand elsewhere among those that stay: all but a longest run that
/// keeps its order.
fn moved(pairs: &[(Option<usize>, Option<usize>)]) -> Vec<usize> {
    let stay: Vec<usize> = pairs.iter().filter_map(|(old, new)| new.and(*old)).collect();
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for (nth, &old) in stay.iter().enumerate() {
        let before = runs.iter().take(nth).filter(|run| run.last().is_some_and(|last| *last < old));
        let mut run = before.max_by_key(|run| run.len()).cloned().unwrap_or_default();
        run.push(old);
        runs.push(run);
    }
    let kept = runs.into_iter().max_by_key(Vec::len).unwrap_or_default();
    stay.into_iter().filter(|old| !kept.contains(old)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    fn menus(buttons: &str, conditional: &str) -> Menus {
        let text = format!(r#"{{"button":[{buttons}],"conditional":[{conditional}]}}"#);
        read(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}")).menus
    }

    fn click(name: &str, key: &str) -> String {
        format!(r#"{{"name":"{name}","type":"click","key":"{key}"}}"#)
    }

    fn list(name: &str, items: &[String]) -> String {
        format!(r#"{{"name":"{name}","sub_button":[{}]}}"#, items.join(","))
    }

    fn conditional(tag: u32, key: &str) -> String {
        format!(r#"{{"matchrule":{{"tag_id":"{tag}"}},"button":[{}]}}"#, click("n", key))
    }

    /// `changed button[0] key`, one a line.
    fn told(live: &Menus, file: &Menus) -> Vec<String> {
        let mut lines = Vec::new();
        for part in Diff::between(live, file).parts {
            let rule = part.matchrule.map_or_else(|| "default".to_owned(), |rule| rule.to_string());
            lines.push(format!("{:?} {rule}", part.how));
            for Change { place, how, name: _, fields } in part.changes {
                let fields: Vec<String> = fields.into_iter().map(|change| change.field).collect();
                lines.push(format!("{how:?} {place} {}", fields.join(",")));
            }
        }
        lines
    }

    #[test]
    fn equal_menus_have_no_difference() {
        let one = menus(&[click("a", "1"), list("b", &[click("c", "2")])].join(","), &conditional(2, "k"));
        assert!(Diff::between(&one, &one).is_empty());
    }

    #[test]
    fn changes_are_told_button_by_button_and_field_by_field() {
        let before = menus(&[click("a", "1"), list("b", &[click("c", "2"), click("d", "3")])].join(","), "");
        let after = menus(
            &[click("a", "9"), list("b", &[click("new", "5"), click("renamed", "2"), click("d", "3")])]
                .join(","),
            "",
        );
        assert_eq!(
            told(&before, &after),
            [
                "Changed default",
                "Changed button[0] key",
                "Added button[1].sub_button[0] type,key",
                "Changed button[1].sub_button[1] name",
            ],
            "what was renamed is not removed and added, and nothing has moved that was only pushed aside"
        );
        assert_eq!(
            told(&after, &before),
            [
                "Changed default",
                "Changed button[0] key",
                "Changed button[1].sub_button[0] name",
                "Removed button[1].sub_button[0] type,key",
            ]
        );
    }

    #[test]
    fn order_is_a_difference() {
        let before = menus(&[click("a", "1"), click("b", "2"), click("c", "3")].join(","), "");
        let after = menus(&[click("b", "2"), click("c", "3"), click("a", "1")].join(","), "");
        assert_eq!(told(&before, &after), ["Changed default", "Moved button[2] "]);
    }

    #[test]
    fn conditional_menus_are_compared_by_whom_they_are_for() {
        let all = |list: &[String]| menus(&click("a", "1"), &list.join(","));
        let before = all(&[conditional(1, "x"), conditional(2, "y"), conditional(3, "z")]);
        let after = all(&[conditional(3, "z"), conditional(2, "changed"), conditional(4, "new")]);
        assert_eq!(
            told(&before, &after),
            [
                "Moved tag_id = 3",
                "Changed tag_id = 2",
                "Changed conditional[1].button[0] key",
                "Added tag_id = 4",
                "Added conditional[2].button[0] type,key",
                "Removed tag_id = 1",
                "Removed conditional[0].button[0] type,key",
            ]
        );
        let none = Menus::default();
        assert_eq!(told(&none, &after)[0], "Added default");
        assert_eq!(told(&after, &none)[0], "Removed default");
    }

    #[test]
    fn button_that_becomes_a_list_says_both() {
        let before = menus(&click("a", "1"), "");
        let after = menus(&list("a", &[click("b", "1")]), "");
        assert_eq!(
            told(&before, &after),
            ["Changed default", "Changed button[0] type,key", "Added button[0].sub_button[0] type,key"]
        );
    }
}
