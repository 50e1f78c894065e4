//! From the text of a rules file to rules that can be asked, or everything that is wrong with it.

use std::sync::atomic::AtomicU32;

use super::action::{Action, ArticleForm, Form, MusicForm};
use super::book::{Book, Names, Part, Rule, Then};
use super::hours::Zone;
use super::source::{Item, Problem, Report, Table, nearest};
use super::template::{Templates, Text};
use super::when::conditions;
use crate::services::messages::reply::is_address;

/// Most rules in a file. They are asked one after the other: this many take some 50 µs.
const MOST_RULES: usize = 1_000;
/// WeChat shows so many articles at most.
const MOST_ARTICLES: usize = 8;

/// Reads a file: the rules and what is odd in it, or what is wrong.
pub(super) fn load(text: &str, names: &Names<'_>) -> Result<(Book, Vec<Problem>), Vec<Problem>> {
    let report = Report::of(text);
    let Some(root) = report.parse(text) else { return Err(report.finish().0) };
    let book =
        Loader { report: &report, names, templates: Templates::new() }.book(&Table::root(&report, &root));
    let (errors, warnings) = report.finish();
    if errors.is_empty() { Ok((book, warnings)) } else { Err(errors) }
}

struct Loader<'a> {
    report: &'a Report,
    names: &'a Names<'a>,
    templates: Templates,
}

impl Loader<'_> {
    fn book(mut self, root: &Table<'_>) -> Book {
        let zone = root.get("timezone").and_then(|item| match Zone::parse(item.text()?) {
            Ok(zone) => Some(zone),
            Err(why) => {
                item.error(why);
                None
            }
        });
        let mut rules: Vec<Rule> = Vec::new();
        let list = root.get("rule");
        let tables = list.as_ref().map(Item::tables).unwrap_or_default();
        if tables.len() > MOST_RULES
            && let Some(list) = &list
        {
            list.error(format!("{} rules are too many: a file has {MOST_RULES} at most", tables.len()));
        }
        let mut all_taken: Option<String> = None;
        for (nth, table) in tables.into_iter().take(MOST_RULES).enumerate() {
            let number = nth + 1;
            // The name is part of every message about the rule, so it is looked at first.
            let called = table.get("name").filter(Item::is_text).and_then(|item| item.text());
            let name =
                called.map_or_else(|| format!("rule {number}"), |name| format!("rule {number} \"{name}\""));
            let table = table.called(format!("{name}: "));
            if let Some(item) = table.get("name") {
                match item.text() {
                    Some("") => item.error("a name has at least one letter: or leave it out"),
                    Some(own) => {
                        if let Some(other) = rules.iter().find(|rule| rule.called.as_deref() == Some(own)) {
                            item.error(format!(
                                "line {} has a rule of this name: logs could not tell them apart",
                                other.line
                            ));
                        }
                    }
                    None => {}
                }
            }
            if let Some(taker) = &all_taken {
                table.warn(format!("this never fires: {taker} takes every message (it has no when)"));
            }
            let rule = self.rule(table, &name, called.map(Into::into), Part::Rule);
            let takes_all = rule.conditions.is_empty()
                && rule.then == Then::Stop
                && matches!(&rule.action, Action::Reply(form) if form.cannot_fail());
            if takes_all && all_taken.is_none() {
                all_taken = Some(name);
            }
            rules.push(rule);
        }
        let fallback = root.get("fallback").and_then(|item| item.table()).map(|table| {
            let table = table.called("fallback: ".to_owned());
            self.rule(table, "fallback", Some("fallback".into()), Part::Fallback)
        });
        // Asked for last, so that the keys of the root are all known.
        finish_root(root);
        Book::new(rules, fallback, zone.unwrap_or(Zone::CHINA), self.templates)
    }

    fn rule(&mut self, table: Table<'_>, name: &str, called: Option<Box<str>>, part: Part) -> Rule {
        let line = self.report.line(table.at);
        let when = table.get("when");
        let conditions = when.as_ref().map(conditions).unwrap_or_default();
        if let Some(when) = &when
            && when.is_table()
            && conditions.is_empty()
        {
            when.warn("there is no condition in it: this holds for every message");
        }
        let goes_on = part == Part::Rule && table.get("continue").is_some_and(|item| item.set());
        let then = if goes_on { Then::GoOn } else { Then::Stop };
        let (reply, forward) = (table.get("reply"), table.get("forward"));
        let action = match (&reply, &forward) {
            (Some(reply), None) => self.form(reply).map(Action::Reply),
            (None, Some(forward)) => self.forward(forward),
            (Some(_), Some(forward)) => {
                forward.error(
                    "a rule has a reply or a forward, not both: give the reply a rule of its own, with continue = true",
                );
                None
            }
            (None, None) => {
                table.error("this does nothing: it needs a reply or a forward");
                None
            }
        };
        let says_something =
            matches!(&action, Some(Action::Reply(form)) if !matches!(form, Form::Success | Form::Empty));
        if part == Part::Fallback && says_something && conditions.is_empty() {
            table.warn(
                "this answers events as well, LOCATION and VIEW among them: add when.type = [\"text\", \"image\", \"voice\"], or what else it is for",
            );
        }
        table.finish(|word| match (word, part) {
            ("match" | "if", _) => Some("it is called when"),
            ("stop", Part::Rule) => Some("that is the default: the opposite is continue = true"),
            ("continue", Part::Fallback) => Some("nothing comes after the fallback"),
            ("name", Part::Fallback) => Some("its name is fallback"),
            ("text" | "image" | "voice" | "video" | "music" | "news" | "transfer", _) => {
                Some("it stands within reply: reply.text and so on")
            }
            (
                "type" | "event" | "key" | "content" | "scene" | "from" | "account" | "time" | "days"
                | "field",
                _,
            ) => Some("conditions stand within when: when.type and so on"),
            _ => None,
        });
        // With an error the book is thrown away, and with it this action.
        let action = action.unwrap_or(Action::Reply(Form::Success));
        let own = called.as_deref().unwrap_or(name);
        let answers_as = match &action {
            Action::Reply(_) => format!("rules: {own}").into(),
            Action::Forward(program) => format!("rules: {own}, forward: {program}").into(),
        };
        let failures = AtomicU32::new(0);
        Rule { name: name.into(), answers_as, called, part, line, conditions, action, then, failures }
    }

    fn forward(&self, item: &Item<'_>) -> Option<Action> {
        let name = item.text()?;
        if let Err(why) = self.names.know(name) {
            item.error(why);
        }
        Some(Action::Forward(name.into()))
    }

    /// A reply: a text, or a table with one key.
    fn form(&mut self, item: &Item<'_>) -> Option<Form> {
        if item.is_text() {
            return Some(Form::Text(self.text(item)?));
        }
        if !item.is_table() {
            item.needs("text or a table like { image = \"MEDIA_ID\" }");
            return None;
        }
        let table = item.table()?;
        let kinds = ["text", "image", "voice", "video", "music", "news", "transfer", "success", "empty"];
        let mut given: Vec<(&str, Item<'_>)> =
            kinds.iter().filter_map(|kind| Some((*kind, table.get(kind)?))).collect();
        if given.len() > 1 {
            let both: Vec<&str> = given.iter().map(|(kind, _)| *kind).collect();
            table.error(format!("{} stand here: WeChat takes one reply for a message", both.join(" and ")));
        }
        let form = match given.pop() {
            None => None,
            Some(("text", item)) => self.text(&item).map(Form::Text),
            Some(("image", item)) => self.text(&item).map(Form::Image),
            Some(("voice", item)) => self.text(&item).map(Form::Voice),
            Some(("video", item)) => item.table().and_then(|table| self.video(table)),
            Some(("music", item)) => item.table().and_then(|table| self.music(table)),
            Some(("news", item)) => Some(self.news(&item)),
            Some(("transfer", item)) if item.is_text() => {
                self.text(&item).map(|account| Form::Transfer(Some(account)))
            }
            Some(("transfer", item)) => item.set().then_some(Form::Transfer(None)),
            Some(("success", item)) => item.set().then_some(Form::Success),
            Some((_, item)) => item.set().then_some(Form::Empty),
        };
        if table.entries().is_empty() {
            table.error(format!("this says nothing: one of {} is needed", kinds.join(", ")));
        }
        table.finish(|word| match word {
            "forward" => Some("it stands beside reply, not within it"),
            "media_id" => Some("name the kind: image = \"MEDIA_ID\", voice = \"MEDIA_ID\", video.media_id"),
            "articles" => Some("it is called news, a list of articles"),
            "content" => Some("it is called text"),
            _ => None,
        });
        form
    }

    fn video(&mut self, table: Table<'_>) -> Option<Form> {
        let media_id = self.needed(&table, "media_id");
        let title = self.optional(&table, "title");
        let description = self.optional(&table, "description");
        table.finish(|_| None);
        Some(Form::Video { media_id: media_id?, title, description })
    }

    fn music(&mut self, table: Table<'_>) -> Option<Form> {
        let thumb_media_id = self.needed(&table, "thumb_media_id");
        let title = self.optional(&table, "title");
        let description = self.optional(&table, "description");
        let url = self.address(&table, "url");
        let hq_url = self.address(&table, "hq_url");
        table.finish(|_| None);
        let thumb_media_id = thumb_media_id?;
        Some(Form::Music(Box::new(MusicForm { title, description, url, hq_url, thumb_media_id })))
    }

    fn news(&mut self, item: &Item<'_>) -> Form {
        let mut articles = Vec::new();
        let tables = item.tables();
        if tables.len() > MOST_ARTICLES {
            item.error(format!(
                "{} articles are too many: WeChat shows {MOST_ARTICLES} to an event and one to a message",
                tables.len()
            ));
        }
        let none = tables.is_empty();
        for table in tables {
            let title = self.needed(&table, "title");
            let description = self.optional(&table, "description");
            let pic_url = self.address(&table, "pic_url");
            missing(&table, "url");
            let url = self.address(&table, "url");
            table.finish(|word| match word {
                "picture" | "image" | "picurl" => Some("it is called pic_url"),
                "link" => Some("it is called url"),
                _ => None,
            });
            let whole = title.zip(url);
            articles.extend(whole.map(|(title, url)| ArticleForm { title, description, pic_url, url }));
        }
        if none {
            item.error("news need an article: a list of tables, each with a title and a url");
        }
        Form::News(articles)
    }

    fn needed(&mut self, table: &Table<'_>, key: &'static str) -> Option<Text> {
        missing(table, key);
        self.optional(table, key)
    }

    fn optional(&mut self, table: &Table<'_>, key: &'static str) -> Option<Text> {
        table.get(key).and_then(|item| self.text(&item))
    }

    /// An address, which is looked at as far as it is known before a message comes.
    fn address(&mut self, table: &Table<'_>, key: &'static str) -> Option<Text> {
        let item = table.get(key)?;
        let text = self.text(&item)?;
        if let Text::Plain(plain) = &text
            && !is_address(plain)
        {
            item.error("this is not an http:// or https:// address: a tap on it would lead nowhere");
        }
        Some(text)
    }

    fn text(&mut self, item: &Item<'_>) -> Option<Text> {
        let source = item.text()?;
        if source.trim().is_empty() {
            item.error("this is empty: write a text, or leave the key out");
            return None;
        }
        match self.templates.add(&item.place, source) {
            Ok(text) => {
                for (name, near) in self.templates.mistyped(&text) {
                    item.warn(format!("no message has a \"{name}\": did you mean {near}?"));
                }
                Some(text)
            }
            Err(why) => {
                item.error(why);
                None
            }
        }
    }
}

/// Reports that a key is not there.
fn missing(table: &Table<'_>, key: &'static str) {
    if table.get(key).is_none() {
        table.error(format!("{key} is missing, and WeChat needs it"));
    }
}

/// Reports keys of the root that there are not.
fn finish_root(root: &Table<'_>) {
    let asked = ["timezone", "rule", "fallback"];
    for (key, item) in root.entries() {
        if asked.contains(&key) {
            continue;
        }
        let advice = match key {
            "rules" => "each rule is a section [[rule]]".to_owned(),
            "zone" | "tz" => "it is called timezone".to_owned(),
            "default" => "it is called fallback".to_owned(),
            _ => nearest(key, &asked).map_or_else(
                || format!("here stand {}", asked.join(", ")),
                |near| format!("did you mean {near}?"),
            ),
        };
        item.error(format!("there is no such key: {advice}"));
    }
}
