//! Which words that rules look for a text contains: found in one pass, however many rules ask.
//!
//! Only what many rules are about is looked at so, a message's content, key and scene. A file with
//! more words than are good for an automaton has none, and each word is looked for by itself.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::text::Case;

/// Most bytes of different words of one case that are looked for together. A reload builds the
/// automaton, of some tens of bytes for each.
const MOST: usize = 256 << 10;
/// Up to here an automaton may be the quick kind, which takes up to 1 KiB for each byte.
const QUICK: usize = 8 << 10;
/// Words whose being there is kept without an allocation.
const FIRST: usize = 64;

/// A word that some rule looks for.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) text: Box<str>,
    /// Its number among all of its case, once they are known.
    number: Option<usize>,
}

impl Word {
    pub(super) fn new(text: Box<str>) -> Self {
        Self { text, number: None }
    }

    /// Its number, if it is looked for with the others.
    pub(super) fn number(&self) -> Option<usize> {
        self.number
    }
}

/// The words of a version of the rules, while they are collected.
#[derive(Default)]
pub(super) struct Collected {
    counts: HashMap<Box<str>, usize>,
    ignored: HashMap<Box<str>, usize>,
}

impl Collected {
    /// Gives a word its number: the same for the same word.
    pub(super) fn add(&mut self, case: Case, word: &mut Word) {
        let words = match case {
            Case::Counts => &mut self.counts,
            Case::Ignored => &mut self.ignored,
        };
        let next = words.len();
        word.number = Some(*words.entry(word.text.clone()).or_insert(next));
    }

    pub(super) fn build(self) -> Words {
        Words { counts: Search::new(&self.counts), ignored: Search::new(&self.ignored) }
    }
}

/// The words of a version of the rules.
#[derive(Default)]
pub(super) struct Words {
    counts: Option<Search>,
    ignored: Option<Search>,
}

impl Words {
    /// The search for those of a case; `None` if each must be looked for by itself.
    pub(super) fn of(&self, case: Case) -> Option<&Search> {
        match case {
            Case::Counts => self.counts.as_ref(),
            Case::Ignored => self.ignored.as_ref(),
        }
    }
}

/// The search for all words of one case.
pub(super) struct Search {
    automaton: AhoCorasick,
}

impl Search {
    fn new(words: &HashMap<Box<str>, usize>) -> Option<Self> {
        let bytes: usize = words.keys().map(|word| word.len()).sum();
        if words.is_empty() || bytes > MOST {
            return None;
        }
        let kind = (bytes > QUICK).then_some(AhoCorasickKind::ContiguousNFA);
        let mut ordered = vec![""; words.len()];
        for (word, number) in words {
            ordered[*number] = word;
        }
        AhoCorasick::builder().kind(kind).build(ordered).ok().map(|automaton| Self { automaton })
    }

    /// Which of them a text contains.
    pub(super) fn within(&self, text: &str) -> Found {
        let more = self.automaton.patterns_len().saturating_sub(FIRST);
        let mut found = Found { first: 0, more: vec![false; more] };
        for word in self.automaton.find_overlapping_iter(text) {
            match word.pattern().as_usize() {
                number @ ..FIRST => found.first |= 1 << number,
                number => found.more[number - FIRST] = true,
            }
        }
        found
    }
}

/// The words that a text contains, by their numbers.
pub(super) struct Found {
    first: u64,
    more: Vec<bool>,
}

impl Found {
    pub(super) fn has(&self, number: usize) -> bool {
        match number {
            number @ ..FIRST => self.first & (1 << number) != 0,
            number => self.more[number - FIRST],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(words: &[String], text: &str) -> Vec<bool> {
        let mut collected = Collected::default();
        let mut own: Vec<_> = words.iter().map(|word| Word::new(word.as_str().into())).collect();
        for word in &mut own {
            collected.add(Case::Counts, word);
        }
        let built = collected.build();
        let found = built.of(Case::Counts).unwrap().within(text);
        own.iter().map(|word| found.has(word.number().unwrap())).collect()
    }

    proptest! {
        // Few letters and many words: they repeat, overlap and lie within each other.
        #[test]
        fn word_is_found_where_a_search_for_it_alone_would_find_it(
            words in prop::collection::vec("[ab关键]{1,4}", 1..150),
            text in "[ab关键]{0,20}",
        ) {
            let alone: Vec<_> = words.iter().map(|word| text.contains(&**word)).collect();
            prop_assert_eq!(found(&words, &text), alone);
        }
    }

    #[test]
    fn words_are_found_by_either_kind_of_automaton() {
        let words: Vec<_> = (0..QUICK / 4).map(|number| format!("w{number:06}x")).collect();
        let there =
            |words: &[String]| found(words, "no w000007x but w000000x").iter().filter(|has| **has).count();
        assert_eq!((there(&words[..9]), there(&words)), (2, 2));
    }

    #[test]
    fn words_of_one_case_are_not_those_of_the_other() {
        let mut collected = Collected::default();
        let (mut loud, mut quiet) = (Word::new("HOURS".into()), Word::new("hours".into()));
        collected.add(Case::Counts, &mut loud);
        collected.add(Case::Ignored, &mut quiet);
        let words = collected.build();
        let has = |case, text: &str| words.of(case).unwrap().within(text).has(0);
        assert_eq!((has(Case::Counts, "your hours"), has(Case::Ignored, "your hours")), (false, true));
    }

    #[test]
    fn more_words_than_are_good_for_an_automaton_have_none() {
        let mut collected = Collected::default();
        for number in 0..=MOST / 8 {
            collected.add(Case::Counts, &mut Word::new(format!("{number:08}").into()));
        }
        assert!(collected.build().of(Case::Counts).is_none());
    }
}
