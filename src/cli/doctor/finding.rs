//! What a check found, and how all findings are told: lines for people, a document for programs.
//!
//! A finding is one fact with its fix. Nothing of a secret or a value gets into one (S7), and
//! text from elsewhere loses what would drive a terminal.

use serde::Serialize;

use crate::cli::output::{Colour, Tone};
use crate::cli::words;

/// Good findings of one name in a row that are told one by one; more of them become one line.
const ONE_BY_ONE: usize = 3;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it in daylight.
    Warn,
    /// Something does not work, or will not at the next start.
    Fail,
}

/// What the check is about; in the order in which groups are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Group {
    /// What the file says.
    Configuration,
    /// Modes and owners.
    Files,
    /// Disk and limits.
    Machine,
    /// The running daemon.
    Daemon,
    /// The way to WeChat, and its clock.
    Wechat,
    /// Each account there.
    Accounts,
    /// The copies.
    Memcached,
    /// Where WeChat sends messages.
    Callback,
    /// The message service.
    Messages,
    /// The login service.
    OAuth,
    /// The JS-SDK service.
    Jssdk,
    /// Menus and QR codes.
    Business,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What it is about.
    pub(super) group: Group,
    /// The check; stable, for programs.
    pub(super) name: &'static str,
    /// Which of several things: an appid, a file, a server.
    pub(super) subject: Option<String>,
    /// How bad it is.
    pub(super) level: Level,
    /// The fact.
    pub(super) detail: String,
    /// What to do. Beside [`Level::Ok`] it is advice.
    pub(super) fix: Option<String>,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(group: Group, name: &'static str, detail: impl AsRef<str>) -> Self {
        let detail = words::plain(detail.as_ref());
        Self { group, name, subject: None, level: Level::Ok, detail, fix: None }
    }

    /// Somebody should look at it.
    pub(super) fn warn(
        group: Group,
        name: &'static str,
        detail: impl AsRef<str>,
        fix: impl AsRef<str>,
    ) -> Self {
        Self { level: Level::Warn, ..Self::ok(group, name, detail) }.advice(fix)
    }

    /// It does not work.
    pub(super) fn fail(
        group: Group,
        name: &'static str,
        detail: impl AsRef<str>,
        fix: impl AsRef<str>,
    ) -> Self {
        Self { level: Level::Fail, ..Self::ok(group, name, detail) }.advice(fix)
    }

    /// Says which of several things it is about.
    pub(super) fn about(self, subject: impl AsRef<str>) -> Self {
        Self { subject: Some(words::plain(subject.as_ref())), ..self }
    }

    /// Adds what to do.
    pub(super) fn advice(self, fix: impl AsRef<str>) -> Self {
        Self { fix: Some(words::plain(fix.as_ref())), ..self }
    }
}

/// How many findings there are of each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    ok: usize,
    warn: usize,
    pub(super) fail: usize,
}

impl Summary {
    pub(super) fn of(findings: &[Finding]) -> Self {
        let count = |level| findings.iter().filter(|finding| finding.level == level).count();
        Self { ok: count(Level::Ok), warn: count(Level::Warn), fail: count(Level::Fail) }
    }
}

/// The page for people.
pub(super) fn page(findings: &[Finding], colour: Colour) -> String {
    let mut text = String::new();
    for group in findings.chunk_by(|a, b| a.group == b.group) {
        let Some(first) = group.first() else { continue };
        text.push_str(&colour.paint(Tone::Strong, heading(first.group)));
        text.push('\n');
        for run in group.chunk_by(|a, b| a.name == b.name && quiet(a) && quiet(b)) {
            if run.len() > ONE_BY_ONE {
                text.push_str(&together(run, colour));
            } else {
                text.extend(run.iter().map(|finding| line(finding, colour)));
            }
        }
    }
    let Summary { ok, warn, fail } = Summary::of(findings);
    let verdict = match (warn, fail) {
        (0, 0) => "all is well",
        (_, 0) => "nothing failed",
        (_, _) => "something must be done",
    };
    format!("{text}\n{ok} ok, {warn} warn, {fail} fail: {verdict}\n")
}

fn quiet(finding: &Finding) -> bool {
    finding.level == Level::Ok && finding.fix.is_none()
}

fn together(run: &[Finding], colour: Colour) -> String {
    let Some(first) = run.first() else { return String::new() };
    let mut subjects: Vec<&str> = run.iter().filter_map(|finding| finding.subject.as_deref()).collect();
    let more = subjects.len().saturating_sub(ONE_BY_ONE);
    subjects.truncate(ONE_BY_ONE);
    let names = subjects.join(", ");
    let detail = format!("{names} and {more} more");
    let name = format!("{} ({})", first.name, run.len());
    format!("  {}  {name} — {detail}\n", mark(Level::Ok, colour))
}

fn line(finding: &Finding, colour: Colour) -> String {
    let Finding { group: _, name, subject, level, detail, fix } = finding;
    let subject = subject.as_deref().map(|subject| format!(" {subject}")).unwrap_or_default();
    let label = if *level == Level::Ok { "advice" } else { "fix" };
    let fix = fix.as_deref().map(|fix| format!("; {label}: {fix}")).unwrap_or_default();
    format!("  {}  {name}{subject} — {detail}{fix}\n", mark(*level, colour))
}

/// Padded before it is painted: colour has no width.
fn mark(level: Level, colour: Colour) -> String {
    match level {
        Level::Ok => colour.paint(Tone::Good, "ok  "),
        Level::Warn => colour.paint(Tone::Doubtful, "warn"),
        Level::Fail => colour.paint(Tone::Bad, "fail"),
    }
}

const fn heading(group: Group) -> &'static str {
    match group {
        Group::Configuration => "Configuration",
        Group::Files => "Files",
        Group::Machine => "Machine",
        Group::Daemon => "Daemon",
        Group::Wechat => "WeChat",
        Group::Accounts => "Accounts",
        Group::Memcached => "memcached",
        Group::Callback => "Callback",
        Group::Messages => "Message service",
        Group::OAuth => "Login service",
        Group::Jssdk => "JS-SDK service",
        Group::Business => "Menus and QR codes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_groups_lines_and_says_the_fix_beside_each_fault() {
        let findings = [
            Finding::ok(Group::Files, "modes", "3 files"),
            Finding::warn(Group::Files, "owner", "not ours", "chown"),
            Finding::fail(Group::Wechat, "dns", "no name", "look at resolv.conf").about("a\x1b[2J"),
        ];
        assert_eq!(
            page(&findings, Colour::Off),
            "Files\n  ok    modes — 3 files\n  warn  owner — not ours; fix: chown\nWeChat\n  fail  dns a\u{fffd}[2J \
             — no name; fix: look at resolv.conf\n\n1 ok, 1 warn, 1 fail: something must be done\n"
        );
        assert!(page(&findings, Colour::On).contains("\x1b[1;31mfail\x1b[0m"));
    }

    #[test]
    fn many_good_findings_are_one_line_and_a_bad_one_among_them_is_its_own() {
        let mut findings: Vec<_> = (0..8)
            .map(|nth| Finding::ok(Group::Accounts, "secret", "accepted").about(format!("wx{nth}")))
            .collect();
        findings.push(Finding::fail(Group::Accounts, "secret", "wrong", "reset it").about("wx8"));
        let text = page(&findings, Colour::Off);
        assert!(text.contains("ok    secret (8) — wx0, wx1, wx2 and 5 more\n"), "{text}");
        assert!(text.contains("fail  secret wx8 — wrong; fix: reset it\n"), "{text}");
        assert_eq!(text.lines().count(), 5);
    }
}
