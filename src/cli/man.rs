//! `man`: the manual pages, one per command, and one for the configuration file.
//!
//! Both are made from what the program itself reads, the definitions of its commands and
//! config.toml, so they cannot fall behind it. Hidden: packagers run it, nobody else.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_mangen::roff::{Inline, Roff, bold, roman};
use serde::Serialize;

use super::Cli;
use super::error::CliError;
use super::output::Output;

/// The example that shows every key.
const CONFIG: &str = include_str!("../../config.toml");
/// The page of the configuration: section 5 is for file formats.
const CONFIG_PAGE: &str = "zhongkong.toml.5";

/// What `man` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to write the pages; made if it is missing
    dir: PathBuf,
}

#[derive(Serialize)]
struct Written<'a> {
    dir: &'a Path,
}

pub(super) fn run(args: &Args, out: Output) -> Result<(), CliError> {
    let Args { dir } = args;
    write_pages(dir).map_err(|error| CliError::File { path: dir.clone(), why: error.to_string() })?;
    out.result(&Written { dir }, |_| format!("the manual pages are in {}", dir.display()))
}

fn write_pages(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)?;
    fs::write(dir.join(CONFIG_PAGE), config_page(CONFIG))
}

/// A paragraph of the file: sentences, then the keys that they are about.
#[derive(Default)]
struct Paragraph<'t> {
    sentences: Vec<&'t str>,
    keys: Vec<&'t str>,
}

/// The file as a page: its comments are the text, its keys and sections stand out.
fn config_page(file: &str) -> String {
    let mut page = Roff::new();
    let version = concat!("zhongkong ", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["zhongkong.toml", "5", "", version, ""]);
    page.control("SH", ["NAME"]);
    page.text([roman("zhongkong.toml - the configuration of zhongkong, /etc/zhongkong/config.toml")]);
    page.control("SH", ["DESCRIPTION"]);
    let mut paragraph = Paragraph::default();
    for line in file.lines().chain([""]) {
        match Line::of(line) {
            Line::Sentence(text) if paragraph.keys.is_empty() => paragraph.sentences.push(text),
            Line::Sentence(text) => {
                flush(&mut page, &mut paragraph);
                paragraph.sentences.push(text);
            }
            Line::Key(text) => paragraph.keys.push(text),
            Line::Section(text) => {
                // What stands right above a section introduces it.
                let introduction = std::mem::take(&mut paragraph);
                page.control("SH", [text]);
                flush(&mut page, &mut Paragraph { keys: Vec::new(), ..introduction });
            }
            Line::Empty => flush(&mut page, &mut paragraph),
        }
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("zhongkong"), roman("(1), "), bold("zhongkong-check-config"), roman("(1)")]);
    page.render()
}

enum Line<'t> {
    Empty,
    Sentence(&'t str),
    Section(&'t str),
    Key(&'t str),
}

impl<'t> Line<'t> {
    fn of(line: &'t str) -> Self {
        let bare = line.trim_start_matches("#: ").trim_start_matches('#');
        if line.is_empty() || line == "#" {
            Self::Empty
        } else if let Some(text) = line.strip_prefix("# ") {
            Self::Sentence(text)
        } else if bare.starts_with('[') {
            Self::Section(bare)
        } else {
            Self::Key(bare)
        }
    }
}

fn flush(page: &mut Roff, paragraph: &mut Paragraph<'_>) {
    let Paragraph { sentences, keys } = std::mem::take(paragraph);
    if keys.is_empty() {
        if !sentences.is_empty() {
            page.control("PP", []);
            page.text(sentences.iter().flat_map(|text| sentence(text)).collect::<Vec<_>>());
        }
        return;
    }
    for (nth, key) in keys.iter().enumerate() {
        page.control(if nth == 0 { "TP" } else { "TQ" }, []);
        page.text([bold(*key)]);
    }
    page.text(sentences.iter().flat_map(|text| sentence(text)).collect::<Vec<_>>());
}

/// Indented lines are tables, whose line ends matter.
fn sentence(text: &str) -> Vec<Inline> {
    if text.starts_with("  ") {
        vec![Inline::LineBreak, roman(text)]
    } else {
        vec![roman(format!("{text} "))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_the_configuration_tells_every_section_and_key_with_its_sentences() {
        let page = config_page(
            "# Intro.\n\n[daemon]\n\n# Where it is. Keep it.\n#state_dir = \"/x\"\n\n# A key.\n#: pid_file = \"/y\"\n",
        );
        for words in ["Intro.", ".SH [daemon]", "Where it is. Keep it.", "state_dir", "pid_file", ".TP"] {
            assert!(page.contains(words), "{words:?} is missing in\n{page}");
        }
        let order = ["Intro.", "[daemon]", "state_dir", "Where it is"].map(|words| page.find(words));
        assert!(order.is_sorted(), "{order:?} in\n{page}");
    }

    #[test]
    fn every_command_has_a_page_and_the_hidden_one_has_none() {
        let dir = tempfile::tempdir().unwrap();
        write_pages(&dir.path().join("man")).unwrap();
        let made = |name: &str| dir.path().join("man").join(name).exists();
        for command in Cli::command().get_subcommands() {
            let name = format!("zhongkong-{}.1", command.get_name());
            assert_eq!(made(&name), !command.is_hide_set(), "{name}");
        }
        for name in [
            "zhongkong.1",
            "zhongkong-ledger-forget-values.1",
            "zhongkong-serve.1",
            "zhongkong-messages-send.1",
            "zhongkong-messages-test.1",
            CONFIG_PAGE,
        ] {
            assert!(made(name), "{name} is missing");
        }
    }
}
