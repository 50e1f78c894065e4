//! The process environment as a value.
//!
//! The one place that reads it is [`Environment::of_process`], called at the edge of the
//! process; everything else gets the value, so that tests need not change a global.
//! Its `Debug` shows names only: a variable may hold a secret.

use std::collections::BTreeMap;
use std::fmt;

/// Environment variables.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process; those that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let utf8 = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(utf8.collect())
    }

    /// The variable's text, if it is set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The same with this variable, unless it is set already.
    #[must_use]
    pub fn or(mut self, name: &str, text: &str) -> Self {
        self.0.entry(name.to_owned()).or_insert_with(|| text.to_owned());
        self
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_but_no_values() {
        let env = Environment::from_iter([("APPSECRET", "s3cr3t")]);
        assert_eq!(format!("{env:?}"), "{\"APPSECRET\"}");
    }
}
