//! What `messages send` says: the requests, the answers, what the user sees, what to do.

use std::fmt::Write as _;

use serde::Serialize;

use crate::simulator::callback::{
    Answer, Attempt, Delivery, Ending, Fault, Flaw, KINDS, Mode, Shown, Tree, Trial, Value, Verification,
};

use super::super::output::{Colour, Tone};

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// What came back.
    Answers,
    /// And what was sent.
    Requests,
}

/// Longest body that is shown.
const LONGEST: usize = 8_000;

/// `--list` for programs.
#[derive(Serialize)]
pub(super) struct List {
    types: Vec<Line>,
    faults: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: &'static str,
    says: &'static str,
}

pub(super) fn list_document() -> List {
    List {
        types: KINDS.iter().map(|kind| Line { name: kind.name, says: kind.says }).collect(),
        faults: Fault::ALL.iter().map(|fault| Line { name: fault.name(), says: fault.says() }).collect(),
    }
}

pub(super) fn list() -> String {
    let List { types, faults } = list_document();
    let mut text = String::from("Types:\n");
    let width = types.iter().map(|line| line.name.len()).max().unwrap_or_default();
    line(&mut text, width, "verify", "the GET with which the console asks whether a callback is yours");
    for Line { name, says } in &types {
        line(&mut text, width, name, says);
    }
    text.push_str("\nAny other type: text MsgType=NAME, or event.CLICK Event=NAME\n\nFaults (--fault):\n");
    for Line { name, says } in &faults {
        line(&mut text, width, name, says);
    }
    text
}

fn line(text: &mut String, width: usize, name: &str, says: &str) {
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(text, "  {name:width$}  {says}");
}

/// A push, for people.
pub(super) fn delivery(
    delivery: &Delivery,
    fault: Option<Fault>,
    mode: Mode,
    detail: Detail,
    colour: Colour,
) -> String {
    let Delivery { message, attempts, shown, trial } = delivery;
    let mut text = String::new();
    if detail == Detail::Requests {
        let _ = writeln!(text, "message:\n{}\n", indented(message));
    }
    write_attempts(&mut text, attempts, detail);
    match (fault, trial) {
        (Some(fault), Some(trial)) => {
            if let Shown::Answer(answer) = shown {
                write_answer(&mut text, answer, mode);
            }
            write_trial(&mut text, fault, trial, colour);
        }
        _ => match shown {
            Shown::Answer(answer) => {
                write_answer(&mut text, answer, mode);
                let sees = colour.paint(Tone::Good, &summary(answer));
                let _ = writeln!(text, "the user sees: {sees}");
                for note in &answer.notes {
                    let _ = writeln!(text, "but: {note}");
                }
            }
            Shown::Nothing => {
                let nothing = colour.paint(Tone::Good, "nothing");
                let _ =
                    writeln!(text, "the user sees: {nothing} (the callback acknowledged, and has no reply)");
            }
            Shown::Failed(flaw) => {
                let sees =
                    flaw.screen().map_or_else(|| "nothing at all".to_owned(), |words| format!("\"{words}\""));
                let _ = writeln!(text, "the user sees: {}", colour.paint(Tone::Bad, &sees));
                write_flaw(&mut text, flaw);
            }
        },
    }
    text
}

/// A verification, for people.
pub(super) fn verification(
    verification: &Verification,
    fault: Option<Fault>,
    detail: Detail,
    colour: Colour,
) -> String {
    let Verification { attempt, result, trial } = verification;
    let mut text = String::new();
    write_attempts(&mut text, std::slice::from_ref(attempt), detail);
    match (fault, trial, result) {
        (Some(fault), Some(trial), _) => write_trial(&mut text, fault, trial, colour),
        (_, _, Ok(())) => {
            let good = colour.paint(Tone::Good, "the console would take this URL");
            let _ = writeln!(text, "{good}: the echostr came back to the byte");
        }
        (_, _, Err(flaw)) => {
            let bad = colour.paint(Tone::Bad, "the console would refuse this URL");
            let _ = writeln!(text, "{bad}");
            write_flaw(&mut text, flaw);
        }
    }
    text
}

fn write_attempts(text: &mut String, attempts: &[Attempt], detail: Detail) {
    for (at, Attempt { request, took, ending }) in attempts.iter().enumerate() {
        if detail == Detail::Requests {
            let _ = writeln!(text, "{} {}", request.method, request.url);
            if !request.body.is_empty() {
                let body = String::from_utf8_lossy(&request.body);
                let _ = writeln!(text, "Content-Type: {}\n{}\n", request.content_type, indented(&body));
            }
        }
        let took = format!("{} ms", took.as_millis());
        let number = if attempts.len() == 1 { String::new() } else { format!("attempt {}: ", at + 1) };
        let _ = match ending {
            Ending::Answered(answer) => {
                let length = answer.body.len();
                writeln!(text, "{number}HTTP {} in {took}, {length} bytes", answer.status)
            }
            Ending::Silent => writeln!(text, "{number}no answer in {took}"),
            Ending::Broken(why) => {
                writeln!(text, "{number}no whole answer, after {took}: {}", printable(why))
            }
            Ending::Unreachable(why) => writeln!(text, "{number}{}", printable(why)),
        };
        if let Ending::Answered(answer) = ending
            && (detail == Detail::Requests || answer.status != 200)
            && !answer.body.is_empty()
        {
            let _ = writeln!(text, "{}", indented(&String::from_utf8_lossy(&answer.body)));
        }
    }
}

fn write_answer(text: &mut String, answer: &Answer, mode: Mode) {
    let how = match mode {
        Mode::Plain => "answer",
        Mode::Compatible | Mode::Safe => "answer, decrypted",
    };
    let _ = writeln!(text, "{how}:\n{}", indented(&answer.text));
}

fn write_trial(text: &mut String, fault: Fault, trial: &Trial, colour: Colour) {
    let _ = writeln!(text, "{}: {}", fault.name(), fault.says());
    let (tone, word, how) = match trial {
        Trial::Withstood(how) => (Tone::Good, "the callback withstood", how),
        Trial::Fell(why) => (Tone::Bad, "the callback did not withstand", why),
    };
    let _ = writeln!(text, "{}: {}", colour.paint(tone, word), printable(how));
}

fn write_flaw(text: &mut String, flaw: &Flaw) {
    let _ = writeln!(text, "why: {}\nwhat to do: {}", printable(&flaw.to_string()), flaw.advice());
}

/// A reply in a line.
fn summary(answer: &Answer) -> String {
    match answer.kind.as_str() {
        "text" => format!("\"{}\"", printable(answer.fields.get("Content").unwrap_or_default())),
        "news" => {
            let title = first(&answer.fields, "Title").unwrap_or_default();
            format!("an article, \"{}\"", printable(title))
        }
        "transfer_customer_service" => "nothing yet; the message goes to a customer-service agent".to_owned(),
        "image" => "a picture".to_owned(),
        "voice" => "a voice message".to_owned(),
        kind => format!("a {}", printable(kind)),
    }
}

/// The first field of this name, however deep.
fn first<'a>(tree: &'a Tree, name: &str) -> Option<&'a str> {
    tree.get(name).or_else(|| {
        tree.values().find_map(|value| match value {
            Value::Tree(tree) => first(tree, name),
            Value::Text(_) | Value::Number(_) => None,
        })
    })
}

fn indented(text: &str) -> String {
    let mut cut = String::new();
    let end = text.floor_char_boundary(LONGEST);
    let (start, rest) = text.split_at(end);
    for line in start.lines() {
        let _ = writeln!(cut, "    {}", printable(line));
    }
    if !rest.is_empty() {
        let _ = writeln!(cut, "    … and {} bytes more", rest.len());
    }
    cut.trim_end().to_owned()
}

/// Without what a terminal would act on; line ends of a text stay.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}
