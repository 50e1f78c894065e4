//! A menu as the phone shows it: the bar at the foot, and above it the lists, all opened at once.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use super::button::{Action, Does, Menu};

/// Columns of a name at the foot that a phone shows: 4 Chinese characters.
const FOOT: usize = 8;
/// The same in a list: 8 Chinese characters.
const LIST: usize = 16;
/// Columns within a box: a list's name, cut, with a blank on each side.
const INNER: usize = LIST + 3;
/// Columns of a box with its borders, which is a cell of the bar.
const CELL: usize = INNER + 2;

/// Columns of a text in a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The picture, and below it what each button does. Names are cut as a phone cuts them; below they
/// are whole. `prefix` stands before the paths.
pub fn draw(menu: &Menu, prefix: &str) -> String {
    let mut out = picture(menu);
    out.push('\n');
    out.push_str(&legend(menu, prefix));
    out
}

fn picture(menu: &Menu) -> String {
    let count = menu.buttons.len();
    let lists: Vec<Vec<String>> = menu
        .buttons
        .iter()
        .map(|button| match &button.does {
            Does::Acts(_) => Vec::new(),
            Does::Opens(items) => boxed(items.iter().map(|item| item.name.as_str())),
        })
        .collect();
    let height = lists.iter().map(Vec::len).max().unwrap_or_default();
    let mut out = String::new();
    for row in 0..height {
        let mut line = String::from(" ");
        for list in &lists {
            // Lists stand on the bar, so that they end in the same row.
            let missing = height - list.len();
            let cell = row.checked_sub(missing).and_then(|at| list.get(at));
            line.push_str(cell.map_or(&" ".repeat(CELL), |cell| cell));
            line.push(' ');
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let edge = |left: &str, between: &str, right: &str| {
        format!("{left}{}{right}\n", vec!["─".repeat(CELL); count.max(1)].join(between))
    };
    out.push_str(&edge("┌", "┬", "┐"));
    out.push('│');
    if count == 0 {
        let _ = write!(out, "{}│", centred("no menu", CELL));
    }
    for button in &menu.buttons {
        let name = cut(&button.name, FOOT);
        let name = match &button.does {
            Does::Acts(_) => name,
            Does::Opens(_) => format!("≡ {name}"),
        };
        let _ = write!(out, "{}│", centred(&name, CELL));
    }
    out.push('\n');
    out.push_str(&edge("└", "┴", "┘"));
    out
}

fn boxed<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let edge = "─".repeat(INNER);
    let mut lines = vec![format!("┌{edge}┐")];
    lines.extend(names.map(|name| format!("│{}│", centred(&cut(name, LIST), INNER))));
    lines.push(format!("└{edge}┘"));
    lines
}

/// As much of a name as a phone shows.
fn cut(name: &str, columns: usize) -> String {
    let name = plain(name);
    if width(&name) <= columns {
        return name;
    }
    let mut kept = String::new();
    for letter in name.chars() {
        kept.push(letter);
        if width(&kept) > columns {
            kept.pop();
            break;
        }
    }
    kept + "…"
}

fn centred(text: &str, columns: usize) -> String {
    let free = columns.saturating_sub(width(text));
    let left = free / 2;
    format!("{}{text}{}", " ".repeat(left), " ".repeat(free - left))
}

fn legend(menu: &Menu, prefix: &str) -> String {
    let mut rows: Vec<[String; 3]> = Vec::new();
    for (nth, button) in menu.buttons.iter().enumerate() {
        let place = format!("{prefix}button[{nth}]");
        match &button.does {
            Does::Acts(action) => rows.push([place, plain(&button.name), does(action)]),
            Does::Opens(items) => {
                rows.push([place.clone(), plain(&button.name), String::new()]);
                for (nth, item) in items.iter().enumerate() {
                    let place = format!("{place}.sub_button[{nth}]");
                    rows.push([place, plain(&item.name), does(&item.action)]);
                }
            }
        }
    }
    let column = |at: usize| rows.iter().map(|row| width(&row[at])).max().unwrap_or_default();
    let (first, second) = (column(0), column(1));
    let mut out = String::new();
    for [place, name, does] in &rows {
        let pad = |text: &str, columns: usize| " ".repeat(columns.saturating_sub(width(text)));
        let line = format!("{place}{}  {name}{}  {does}", pad(place, first), pad(name, second));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn does(action: &Action) -> String {
    let kind = if action.kind().is_empty() { "(nothing)" } else { action.kind() };
    let mut text = plain(kind);
    for (nth, (field, value)) in action.fields().into_iter().enumerate() {
        let gap = if nth == 0 { "  " } else { ", " };
        let _ = write!(text, "{gap}{} = {}", plain(field), plain(value));
    }
    text
}

/// Without what a terminal would act on: the console's menus are others' words.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    const MENU: &str = r#"{"button":[
        {"type":"click","name":"今日歌曲","key":"V1"},
        {"name":"Menu 菜单","sub_button":[
            {"type":"view","name":"搜索","url":"http://www.soso.com/"},
            {"type":"click","name":"一二三四五六七八九十","key":"K"}]},
        {"name":"😀👍","sub_button":[{"type":"click","name":"赞一下我们","key":"V1001_GOOD"}]}]}"#;

    #[test]
    fn picture_is_the_phones_bar_with_the_lists_above_their_buttons() {
        let menu = read(MENU.as_bytes()).unwrap().menus.default;
        let expected = "\x20                      ┌───────────────────┐
                       │       搜索        │ ┌───────────────────┐
                       │ 一二三四五六七八… │ │    赞一下我们     │
                       └───────────────────┘ └───────────────────┘
┌─────────────────────┬─────────────────────┬─────────────────────┐
│      今日歌曲       │     ≡ Menu 菜…      │       ≡ 😀👍        │
└─────────────────────┴─────────────────────┴─────────────────────┘

button[0]                今日歌曲              click  key = V1
button[1]                Menu 菜单
button[1].sub_button[0]  搜索                  view  url = http://www.soso.com/
button[1].sub_button[1]  一二三四五六七八九十  click  key = K
button[2]                😀👍
button[2].sub_button[0]  赞一下我们            click  key = V1001_GOOD
";
        let drawn = draw(&menu, "");
        assert_eq!(drawn, expected, "\n{drawn}");
    }

    #[test]
    fn every_line_of_the_bar_ends_in_the_same_column_whatever_the_names() {
        for name in ["a", "汉字", "ｆｕｌｌ", "日本語テキスト", "한국어", "é\u{301}", "👨‍👩‍👧", "\u{1b}[31m"]
        {
            let action = Action::View { url: "https://a.example".to_owned() };
            let button = super::super::Button { name: name.to_owned(), does: Does::Acts(action) };
            let picture = picture(&Menu { buttons: vec![button.clone(), button] });
            let widths: Vec<usize> = picture.lines().map(width).collect();
            assert_eq!(widths, [2 * CELL + 3; 3], "{picture}");
            assert!(!picture.contains('\u{1b}'), "{picture:?}");
        }
    }
}
