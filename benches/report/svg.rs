//! Plots as SVG: text, so that a change of a figure is a change of a line.
//!
//! Bars lie, because names are longer than numbers; each shows its rounds' span. A curve has powers
//! of ten on its axes, where twice as much is the same step everywhere. White below, for dark pages.

use std::fmt::Write as _;

use super::figures::figure;
use super::page::label;
use super::plot::{Plot, Shape};
use super::{Measurement, Middle, OURS, Unit};

const WIDTH: f64 = 860.0;
/// What is ours, and the others in turn.
const COLORS: [&str; 6] = ["#12805c", "#7a8794", "#c0792a", "#4a6fb5", "#9b59a6", "#b0413e"];

/// The drawing of these of the measurements.
pub(crate) fn draw(plot: &Plot, measurements: &[Measurement]) -> String {
    let drawn: Vec<&Measurement> =
        plot.of.iter().flat_map(|what| measurements.iter().filter(move |one| one.what == *what)).collect();
    match plot.shape {
        Shape::Bars => bars(&plot.title, &drawn),
        Shape::Curve => curve(&plot.title, &drawn),
    }
}

fn bars(title: &str, drawn: &[&Measurement]) -> String {
    const LEFT: f64 = 250.0;
    const RIGHT: f64 = 130.0;
    const BAR: f64 = 17.0;
    let sides = names(drawn);
    let longest = drawn
        .iter()
        .flat_map(|measurement| &measurement.sides)
        .filter_map(|side| Middle::of(&side.rounds))
        .fold(f64::MIN_POSITIVE, |longest, found| longest.max(found.most));
    let scale = (WIDTH - LEFT - RIGHT) / longest;
    let mut body = String::new();
    let mut y = 46.0;
    for measurement in drawn {
        text(&mut body, 12.0, y + 13.0, "start", "bold", &label(measurement));
        y += 20.0;
        for side in &measurement.sides {
            let color = color(&sides, &side.name);
            text(&mut body, LEFT - 8.0, y + 12.5, "end", "normal", &side.name);
            match Middle::of(&side.rounds) {
                Some(found) => {
                    let (least, end, most) = (found.least * scale, found.median * scale, found.most * scale);
                    rect(&mut body, LEFT, y + 2.0, end, BAR - 4.0, color);
                    if found.most > found.least {
                        let middle = y + BAR / 2.0;
                        line(&mut body, (LEFT + least, middle), (LEFT + most, middle), "#222", 1.5);
                        for end in [least, most] {
                            line(
                                &mut body,
                                (LEFT + end, middle - 3.0),
                                (LEFT + end, middle + 3.0),
                                "#222",
                                1.5,
                            );
                        }
                    }
                    let value = figure(found.median, measurement.unit);
                    text(&mut body, LEFT + end.max(most) + 6.0, y + 12.5, "start", "normal", &value);
                }
                None => text(&mut body, LEFT + 4.0, y + 12.5, "start", "normal", "not measured"),
            }
            y += BAR;
        }
        y += 10.0;
    }
    frame(title, y + 4.0, &body)
}

/// A line: its name, its color, and its points over the sizes.
struct Line {
    name: String,
    points: Vec<(f64, Middle)>,
}

fn curve(title: &str, drawn: &[&Measurement]) -> String {
    const TOP: f64 = 50.0;
    const LEFT: f64 = 110.0;
    const RIGHT: f64 = 30.0;
    const HEIGHT: f64 = 260.0;
    let lines = lines(drawn);
    let points = || lines.iter().flat_map(|line| &line.points);
    let unit = drawn.first().map_or(Unit::Count, |first| first.unit);
    let of = drawn.iter().find_map(|one| one.at.as_ref()).map_or("", |size| size.of.as_str());
    let (from, to) = decades(points().map(|(at, _)| *at));
    let (low, high) = decades(points().flat_map(|(_, found)| [found.least, found.most]));
    let x = |at: f64| LEFT + (at.log10() - from) / (to - from) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| TOP + HEIGHT - (value.max(f64::MIN_POSITIVE).log10() - low) / (high - low) * HEIGHT;

    let mut body = String::new();
    for value in powers(low, high) {
        line(&mut body, (LEFT, y(value)), (WIDTH - RIGHT, y(value)), "#ddd", 1.0);
        text(&mut body, LEFT - 8.0, y(value) + 4.0, "end", "normal", &figure(value, unit));
    }
    for at in powers(from, to) {
        line(&mut body, (x(at), TOP), (x(at), TOP + HEIGHT), "#ddd", 1.0);
        let name = format!("{} {of}", figure(at, Unit::Count));
        text(&mut body, x(at), TOP + HEIGHT + 18.0, "middle", "normal", &name);
    }
    for (number, one) in lines.iter().enumerate() {
        let color = COLORS[number % COLORS.len()];
        let path: Vec<String> =
            one.points.iter().map(|(at, found)| format!("{:.1},{:.1}", x(*at), y(found.median))).collect();
        let _ = writeln!(
            body,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for (at, found) in &one.points {
            line(&mut body, (x(*at), y(found.least)), (x(*at), y(found.most)), color, 1.5);
            let _ = writeln!(
                body,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{color}\"/>",
                x(*at),
                y(found.median)
            );
        }
        let below = TOP + HEIGHT + 34.0 + 18.0 * f64::from(u8::try_from(number).unwrap_or(u8::MAX));
        rect(&mut body, LEFT, below, 12.0, 12.0, color);
        text(&mut body, LEFT + 18.0, below + 11.0, "start", "normal", &one.name);
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of lines")]
    let legend = lines.len() as f64 * 18.0;
    frame(title, TOP + HEIGHT + 40.0 + legend, &body)
}

/// One for each `what` and side. What is not above zero has no place on such axes.
fn lines(drawn: &[&Measurement]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for measurement in drawn {
        let Some(at) = measurement.at.as_ref().map(|size| size.number).filter(|at| *at > 0.0) else {
            continue;
        };
        for side in &measurement.sides {
            let name = if side.name == OURS {
                measurement.what.clone()
            } else {
                format!("{}: {}", measurement.what, side.name)
            };
            let Some(found) = Middle::of(&side.rounds).filter(|found| found.least > 0.0) else { continue };
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.points.push((at, found)),
                None => lines.push(Line { name, points: vec![(at, found)] }),
            }
        }
    }
    for line in &mut lines {
        line.points.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    lines
}

/// The powers of ten around all of these, as exponents; at least one apart.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let logs: Vec<f64> = values.filter(|value| *value > 0.0).map(f64::log10).collect();
    let low = logs.iter().copied().fold(f64::INFINITY, f64::min).floor();
    let high = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil();
    if !low.is_finite() || !high.is_finite() {
        return (0.0, 1.0);
    }
    (low, if high > low { high } else { low + 1.0 })
}

fn powers(low: f64, high: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(low), |exponent| Some(exponent + 1.0))
        .take_while(move |exponent| *exponent <= high)
        .map(|exponent| 10_f64.powf(exponent))
}

fn names(drawn: &[&Measurement]) -> Vec<String> {
    let mut names = vec![OURS.to_owned()];
    for side in drawn.iter().flat_map(|measurement| &measurement.sides) {
        if !names.contains(&side.name) {
            names.push(side.name.clone());
        }
    }
    names
}

fn color(names: &[String], name: &str) -> &'static str {
    let place = names.iter().position(|one| one == name).unwrap_or(0);
    COLORS[place % COLORS.len()]
}

fn frame(title: &str, height: f64, body: &str) -> String {
    let mut head = String::new();
    text(&mut head, 12.0, 26.0, "start", "bold\" font-size=\"16", title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" width=\"{WIDTH:.0}\" height=\"{height:.0}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12.5\" role=\"img\">\n<title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{head}{body}</svg>\n",
        escaped(title)
    )
}

fn text(body: &mut String, x: f64, y: f64, anchor: &str, weight: &str, words: &str) {
    let _ = writeln!(
        body,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-weight=\"{weight}\" fill=\"#222\">{}</text>",
        escaped(words)
    );
}

fn rect(body: &mut String, x: f64, y: f64, width: f64, height: f64, color: &str) {
    let _ = writeln!(
        body,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{color}\"/>"
    );
}

fn line(body: &mut String, from: (f64, f64), to: (f64, f64), color: &str, width: f64) {
    let _ = writeln!(
        body,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\" stroke-width=\"{width}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
