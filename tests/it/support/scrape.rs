//! `/metrics` of a running daemon as a scraper reads it.

use std::collections::BTreeMap;

use super::process::Process;

/// One page.
#[derive(Debug)]
pub(crate) struct Scrape {
    /// The page itself.
    pub(crate) text: String,
    /// Every sample by its name and labels, as they are written.
    samples: BTreeMap<String, f64>,
    /// The type of every family.
    pub(crate) types: BTreeMap<String, String>,
}

impl Scrape {
    /// Asks the daemon once.
    pub(crate) async fn of(daemon: &Process) -> Self {
        let (status, text) = daemon.page("/metrics").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        let mut types = BTreeMap::new();
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, of) = family.split_once(' ').unwrap();
                assert!(types.insert(name.to_owned(), of.to_owned()).is_none(), "{name} has two families");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
                assert!(samples.insert(series.to_owned(), value).is_none(), "{series} comes twice");
            }
        }
        Self { text, samples, types }
    }

    /// Asks until the page is as expected. The test's guard ends a wait that is in vain.
    pub(crate) async fn until(daemon: &Process, expected: impl Fn(&Self) -> bool) -> Self {
        loop {
            let scrape = Self::of(daemon).await;
            if expected(&scrape) {
                return scrape;
            }
        }
    }

    /// The value of a series, which must be there.
    pub(crate) fn value(&self, series: &str) -> f64 {
        self.find(series).unwrap_or_else(|| panic!("{series} is not in\n{}", self.text))
    }

    /// The value of a series that counts something, which must be there.
    pub(crate) fn count(&self, series: &str) -> u64 {
        self.find_count(series).unwrap_or_else(|| panic!("{series} is not in\n{}", self.text))
    }

    /// The value of a series that counts something.
    pub(crate) fn find_count(&self, series: &str) -> Option<u64> {
        let value = self.find(series)?;
        Some(value.to_string().parse().unwrap_or_else(|_| panic!("{series} is {value} and no count")))
    }

    /// The value of a series.
    pub(crate) fn find(&self, series: &str) -> Option<f64> {
        self.samples.get(series).copied()
    }

    /// Every sample of a counter, and of the counts of a histogram.
    pub(crate) fn growing(&self) -> impl Iterator<Item = (&str, f64)> {
        self.samples.iter().map(|(series, value)| (series.as_str(), *value)).filter(|(series, _)| {
            let name = series.split('{').next().unwrap();
            name.ends_with("_total") || name.ends_with("_bucket") || name.ends_with("_count")
        })
    }

    /// Whether a rule may name this: a family, or a part of a histogram.
    pub(crate) fn knows(&self, name: &str) -> bool {
        let part = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let is_histogram = |name: &str| self.types.get(name).is_some_and(|of| of == "histogram");
        match part {
            Some(family) => is_histogram(family),
            None => self.types.contains_key(name) && !is_histogram(name),
        }
    }
}
