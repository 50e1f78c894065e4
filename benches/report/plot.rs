//! Which measurements are drawn, and as what. The numbers are the measurements' own.

use serde::{Deserialize, Serialize};

/// A drawing of some of a scenario's measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plot {
    /// The SVG's name without its ending.
    pub(crate) file: String,
    pub(crate) title: String,
    pub(crate) shape: Shape,
    /// The `what` of those that are drawn, which have one unit.
    pub(crate) of: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shape {
    /// A group of bars for each measurement, a bar a side, with the span of its rounds.
    Bars,
    /// A line for each `what` and side, over its sizes; both axes in powers of ten.
    Curve,
}

impl Plot {
    pub(crate) fn bars<'a>(file: &str, title: &str, of: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(file, title, Shape::Bars, of)
    }

    /// Of measurements that were made at several sizes.
    pub(crate) fn curve<'a>(file: &str, title: &str, of: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(file, title, Shape::Curve, of)
    }

    fn new<'a>(file: &str, title: &str, shape: Shape, of: impl IntoIterator<Item = &'a str>) -> Self {
        let of = of.into_iter().map(str::to_owned).collect();
        Self { file: file.to_owned(), title: title.to_owned(), shape, of }
    }
}
