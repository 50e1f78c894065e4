//! Where in the file something stands: `account[2].appid`.

use std::borrow::Cow;
use std::fmt;

/// Longest key that is repeated in a message. A longer one is no mistyped key.
const SHOWN_KEY: usize = 64;

/// A path of keys and indexes, from the root of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Place(Vec<Step>);

/// One step of a [`Place`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// Into a table.
    Key(Cow<'static, str>),
    /// Into a list, from 0.
    Index(usize),
}

impl Place {
    /// The root of the file.
    pub(super) fn root() -> Self {
        Self::default()
    }

    /// The place of a key of this table.
    pub(super) fn key(&self, key: impl Into<Cow<'static, str>>) -> Self {
        self.with(Step::Key(key.into()))
    }

    /// The place of an element of this list.
    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    /// The steps, from the root on.
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The table or list that this place is in; the root's is the root.
    pub(super) fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// Puts a step before the others: a fault learns its place on the way up.
    pub(super) fn push_outer(&mut self, step: Step) {
        self.0.insert(0, step);
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if nth > 0 {
                        f.write_str(".")?;
                    }
                    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
                    if key.len() > SHOWN_KEY {
                        write!(f, "(a key of {} bytes)", key.len())?;
                    } else if !key.is_empty() && key.bytes().all(bare) {
                        f.write_str(key)?;
                    } else {
                        write!(f, "{key:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_like_the_path_that_a_person_would_write() {
        let place = Place::root().key("account").index(2).key("app id");
        assert_eq!(place.to_string(), "account[2].\"app id\"");
        assert_eq!(place.parent().to_string(), "account[2]");
        assert_eq!(Place::root().key("x".repeat(65)).to_string(), "(a key of 65 bytes)");
    }
}
