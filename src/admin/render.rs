//! From facts and words to HTML.
//!
//! The templates are compiled once; every text that goes into them is escaped, and a name that
//! they misspell is an error in every test that shows the page. Spans and bars are written here
//! as of "now" and carry the instants that the page's script counts on from: `data-at` in
//! milliseconds of the boot clock, `data-wall` in those of the wall clock.

use std::fmt::Write as _;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value, context};
use serde::Serialize;

use super::words::{Lang, Words};

/// The templates by name.
const TEMPLATES: [(&str, &str); 11] = [
    ("base.html", include_str!("html/base.html")),
    ("page.html", include_str!("html/page.html")),
    ("summary.html", include_str!("html/summary.html")),
    ("row.html", include_str!("html/row.html")),
    ("pager.html", include_str!("html/pager.html")),
    ("side.html", include_str!("html/side.html")),
    ("events.html", include_str!("html/events.html")),
    ("notices.html", include_str!("html/notices.html")),
    ("confirm.html", include_str!("html/confirm.html")),
    ("sign_in.html", include_str!("html/sign_in.html")),
    ("refusal.html", include_str!("html/refusal.html")),
];
/// What the browser loads besides. Their addresses carry the version, so they may be kept.
pub(super) const STYLE: &str = include_str!("html/page.css");
/// The script.
pub(super) const SCRIPT: &str = include_str!("html/page.js");
/// The icon.
pub(super) const ICON: &str = include_str!("html/icon.svg");

/// The compiled templates.
pub(super) struct Templates {
    env: Environment<'static>,
    /// The words as the templates read them, made once: a page asks for them fifty times.
    english: Value,
    chinese: Value,
}

/// What every template gets besides its own facts.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Scene {
    /// Now, on the boot clock.
    pub(super) now: i64,
    /// Now, on the wall clock.
    pub(super) wall: i64,
    pub(super) lang: Lang,
}

impl Templates {
    /// Compiles them all.
    pub(super) fn new() -> Self {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_auto_escape_callback(|_| AutoEscape::Html);
        for (name, text) in TEMPLATES {
            env.add_template(name, text)
                .expect("the templates are part of the program, and a test shows each");
        }
        env.add_function("tick", tick);
        env.add_function("since", since);
        env.add_function("bar", bar);
        env.add_function("fill", fill);
        env.add_function("grouped", grouped);
        env.add_function("life_of", life_of);
        let words = |lang: Lang| Value::from(Serde(lang.words()));
        Self { env, english: words(Lang::En), chinese: words(Lang::Zh) }
    }

    /// One template with these facts.
    ///
    /// # Errors
    /// The template and the facts do not fit: a defect.
    pub(super) fn render(&self, name: &str, scene: Scene, it: &impl Serialize) -> Result<String, Error> {
        let Scene { now, wall, lang } = scene;
        let w = match lang {
            Lang::En => &self.english,
            Lang::Zh => &self.chinese,
        };
        let with =
            context! { w => w.clone(), lang => lang.as_str(), now, wall, it => Value::from(Serde(it)) };
        self.env.get_template(name)?.render(with)
    }
}

/// A span in words, its two greatest units: "1 h 12 min".
pub(super) fn span(millis: i64, w: &Words) -> String {
    let all = millis.max(0) / 1_000;
    let (days, hours) = (all / 86_400, all / 3_600 % 24);
    let (minutes, seconds) = (all / 60 % 60, all % 60);
    let parts: [(i64, &str); 2] = match (days, hours, minutes) {
        (1.., _, _) => [(days, w.days), (hours, w.hours)],
        (0, 1.., _) => [(hours, w.hours), (minutes, w.minutes)],
        (0, 0, 10..) => [(minutes, w.minutes), (0, w.seconds)],
        (0, 0, 1..) => [(minutes, w.minutes), (seconds, w.seconds)],
        _ => return format!("{seconds}{}{}", w.unit_gap, w.seconds),
    };
    let mut text = String::new();
    for (number, unit) in parts.into_iter().filter(|(number, _)| *number > 0) {
        let between = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{between}{number}{}{unit}", w.unit_gap);
    }
    text
}

fn words(lang: &str) -> &'static Words {
    Lang::parse(lang).unwrap_or(Lang::En).words()
}

fn formed(form: &str, millis: i64, w: &Words) -> String {
    let ahead = millis.abs();
    match form {
        "in" if millis <= 0 => w.next_soon.to_owned(),
        "left" if millis <= 0 => w.ended.to_owned(),
        "ago" if millis > -1_000 => w.now.to_owned(),
        "in" => w.form_in.replace("{}", &span(ahead, w)),
        "left" => w.form_left.replace("{}", &span(ahead, w)),
        "ago" => w.form_ago.replace("{}", &span(ahead, w)),
        _ => w.form_plain.replace("{}", &span(ahead, w)),
    }
}

/// `{{ tick(at, now, "left", lang) }}`: a countdown to an instant of the boot clock.
fn tick(at: i64, now: i64, form: &str, lang: &str) -> Value {
    let text = formed(form, at - now, words(lang));
    Value::from_safe_string(format!("<time data-at=\"{at}\" data-form=\"{}\">{text}</time>", plain(form)))
}

/// The same for an instant of the wall clock.
fn since(at: i64, wall: i64, form: &str, lang: &str) -> Value {
    let text = formed(form, at - wall, words(lang));
    Value::from_safe_string(format!("<time data-wall=\"{at}\" data-form=\"{}\">{text}</time>", plain(form)))
}

/// How long a value lives in all: "of 2 h".
fn life_of(issued: i64, dies: i64, lang: &str) -> String {
    let w = words(lang);
    w.life_of.replace("{}", &span(dies - issued, w))
}

fn plain(form: &str) -> &str {
    if form.bytes().all(|byte| byte.is_ascii_lowercase()) { form } else { "plain" }
}

/// `{{ bar(issued, dies, next, now) }}`: how much of a life is over, and where in it the next
/// attempt lies. Drawn without a style attribute, which the page's policy forbids.
fn bar(issued: i64, dies: i64, next: Option<i64>, now: i64) -> Value {
    let over = share(now - issued, dies - issued);
    let mut text = format!(
        "<svg class=\"bar\" viewBox=\"0 0 1000 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\" \
         data-from=\"{issued}\" data-to=\"{dies}\"><rect class=\"track\" width=\"1000\" height=\"8\"/>\
         <rect class=\"over\" width=\"{over}\" height=\"8\"/>"
    );
    if let Some(next) = next.filter(|next| (issued..=dies).contains(next)) {
        let at = share(next - issued, dies - issued).min(994);
        let _ = write!(text, "<rect class=\"mark\" x=\"{at}\" width=\"6\" height=\"8\"/>");
    }
    text.push_str("</svg>");
    Value::from_safe_string(text)
}

/// `{{ fill(used, limit) }}`: a small meter.
fn fill(used: i64, limit: i64) -> Value {
    let width = share(used, limit);
    Value::from_safe_string(format!(
        "<svg class=\"meter\" viewBox=\"0 0 1000 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"1000\" height=\"8\"/><rect class=\"over\" width=\"{width}\" height=\"8\"/></svg>"
    ))
}

/// Of a thousand.
fn share(part: i64, whole: i64) -> i64 {
    if whole <= 0 {
        return 1_000;
    }
    (part.max(0).saturating_mul(1_000) / whole).min(1_000)
}

/// 10000 as "10,000".
pub(super) fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_has_its_two_greatest_units_in_either_language() {
        let (en, zh) = (Lang::En.words(), Lang::Zh.words());
        for (seconds, english, chinese) in [
            (0, "0\u{a0}s", "0秒"),
            (59, "59\u{a0}s", "59秒"),
            (61, "1\u{a0}min 1\u{a0}s", "1分 1秒"),
            (719, "11\u{a0}min", "11分"),
            (4_320, "1\u{a0}h 12\u{a0}min", "1小时 12分"),
            (90_000, "1\u{a0}d 1\u{a0}h", "1天 1小时"),
        ] {
            assert_eq!(
                (span(seconds * 1_000, en), span(seconds * 1_000, zh)),
                (english.into(), chinese.into())
            );
        }
    }

    #[test]
    fn bar_never_leaves_its_frame() {
        for (issued, dies, next, now) in [(0, 100, Some(90), 500), (0, 0, None, 0), (50, 100, Some(10), 0)] {
            let text = bar(issued, dies, next, now).to_string();
            assert!(!text.contains("width=\"-") && !text.contains("NaN"), "{text}");
        }
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([grouped(7), grouped(1_000), grouped(1_234_567)], ["7", "1,000", "1,234,567"]);
    }
}
