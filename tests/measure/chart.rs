//! A chart as SVG: what is measured over what grows. Pure.
//!
//! The points stand at equal distances, each with its number below it: they are chosen so that this is a logarithmic scale, or nearly. The colours are
//! readable on white and on black, and nothing is painted behind them.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
/// Left, right, top and bottom of the field in which the lines are.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 620.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 260.0;
const COLOURS: [&str; 2] = ["#2a9d8f", "#e76f51"];
const INK: &str = "#808080";

/// One chart.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    /// Of its file.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What grows, with its unit.
    pub(crate) across: &'static str,
    /// What is measured, with its unit.
    pub(crate) up: &'static str,
    /// The names of the lines.
    pub(crate) lines: Vec<&'static str>,
    pub(crate) scale: Scale,
    /// What has grown how far, and the value of each line there.
    pub(crate) points: Vec<(u64, Vec<f64>)>,
}

/// What a step upwards means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// So much more, from 0 on.
    Linear,
    /// Ten times as much.
    Log,
}

/// What the axis upwards shows.
#[derive(Debug, Clone, PartialEq)]
struct Axis {
    scale: Scale,
    ticks: Vec<f64>,
}

impl Axis {
    /// One on which all of these lie.
    fn over(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Self {
        let high = values.clone().fold(1.0, f64::max);
        let low = values.fold(high, f64::min).max(1.0);
        let ticks = match scale {
            Scale::Linear => {
                let step = step(high / 5.0);
                (0..=(high / step).ceil() as u32)
                    .map(|at| step * f64::from(at))
                    .collect()
            }
            Scale::Log => {
                let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
                (first..=last.max(first + 1)).map(|power| 10_f64.powi(power)).collect()
            }
        };
        Self { scale, ticks }
    }

    /// From 0 at the lowest tick to 1 at the highest.
    fn part(&self, value: f64) -> f64 {
        let place = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(f64::MIN_POSITIVE).log10(),
        };
        let end = |tick: Option<&f64>| place(tick.copied().unwrap_or(1.0));
        let (low, high) = (end(self.ticks.first()), end(self.ticks.last()));
        ((place(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - self.part(value) * (BOTTOM - TOP)
    }
}

/// The next of 1, 2, 5, 10, 20, 50 and so on that is not smaller.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1.0).log10().floor());
    let factors = [1.0, 2.0, 5.0].into_iter();
    factors
        .map(|factor| factor * power)
        .find(|step| *step >= least)
        .unwrap_or(10.0 * power)
}

/// As short as labels have to be: `20k` is 20,000, `1M` a million.
pub(crate) fn short(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e3 => (value / 1e3, "k"),
        value => (value, ""),
    };
    format!("{}{unit}", (value * 10.0).round() / 10.0)
}

impl Chart {
    /// The chart as the text of an SVG file.
    pub(crate) fn svg(&self) -> String {
        let values = self.points.iter().flat_map(|(_, values)| values.iter().copied());
        let axis = Axis::over(self.scale, values);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"{INK}\">\n\
             <title>{}</title>\n",
            self.title
        );
        text(&mut svg, (LEFT, 20.0), "start", self.title);
        self.draw_axes(&mut svg, &axis);
        for (at, (line, colour)) in self.lines.iter().zip(COLOURS).enumerate() {
            self.draw_line(&mut svg, &axis, at, colour);
            let x = LEFT + 180.0 * at as f64;
            element(
                &mut svg,
                &format!("rect x=\"{x}\" y=\"30\" width=\"10\" height=\"10\" fill=\"{colour}\""),
            );
            text(&mut svg, (x + 15.0, 40.0), "start", line);
        }
        svg + "</svg>\n"
    }

    fn draw_axes(&self, svg: &mut String, axis: &Axis) {
        for tick in &axis.ticks {
            let y = axis.y(*tick);
            element(
                svg,
                &format!(
                    "line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\" stroke=\"{INK}\" stroke-opacity=\"0.4\""
                ),
            );
            text(svg, (LEFT - 8.0, y + 4.0), "end", &short(*tick));
        }
        for (at, (grown, _)) in self.points.iter().enumerate() {
            text(svg, (self.x(at), BOTTOM + 20.0), "middle", &short(*grown as f64));
        }
        text(svg, (f64::midpoint(LEFT, RIGHT), BOTTOM + 45.0), "middle", self.across);
        let y = f64::midpoint(TOP, BOTTOM);
        writeln!(
            svg,
            "<text transform=\"rotate(-90)\" x=\"-{y}\" y=\"18\" text-anchor=\"middle\">{}</text>",
            self.up
        )
        .expect("a string takes everything");
    }

    fn draw_line(&self, svg: &mut String, axis: &Axis, line: usize, colour: &str) {
        let values = self.points.iter().map(|(_, values)| values[line]).enumerate();
        let places: Vec<String> = values
            .map(|(at, value)| format!("{:.1},{:.1}", self.x(at), axis.y(value)))
            .collect();
        element(
            svg,
            &format!(
                "polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"",
                places.join(" ")
            ),
        );
        for place in places {
            let (x, y) = place.split_once(',').expect("written above");
            element(
                svg,
                &format!("circle cx=\"{x}\" cy=\"{y}\" r=\"3.5\" fill=\"{colour}\""),
            );
        }
    }

    fn x(&self, at: usize) -> f64 {
        let gaps = self.points.len().saturating_sub(1).max(1) as f64;
        LEFT + 25.0 + (RIGHT - LEFT - 50.0) * at as f64 / gaps
    }

    /// The same numbers in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut table = format!(
            "\n| {} | {} |\n|{}\n",
            self.across,
            self.lines.join(" | "),
            "---|".repeat(self.lines.len() + 1)
        );
        for (grown, values) in &self.points {
            let values: Vec<String> = values.iter().map(|value| format!("{value:.0}")).collect();
            writeln!(table, "| {} | {} |", short(*grown as f64), values.join(" | "))
                .expect("a string takes everything");
        }
        table
    }
}

fn element(svg: &mut String, inside: &str) {
    writeln!(svg, "<{inside}/>").expect("a string takes everything");
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
    )
    .expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(scale: Scale) -> Chart {
        Chart {
            name: "queues",
            title: "Queues",
            across: "queues of a worker",
            up: "jobs/s",
            lines: vec!["enqueue", "work"],
            scale,
            points: vec![(1, vec![1_000.0, 40_000.0]), (50, vec![900.0, 10.0])],
        }
    }

    #[test]
    fn every_value_lies_between_the_lowest_tick_and_the_highest() {
        for (scale, values, ticks) in [
            (Scale::Linear, [10.0, 90.0], vec![0.0, 20.0, 40.0, 60.0, 80.0, 100.0]),
            (Scale::Linear, [1.0, 1.0], vec![0.0, 1.0]),
            (Scale::Log, [15.0, 4_000.0], vec![10.0, 100.0, 1_000.0, 10_000.0]),
            (Scale::Log, [100.0, 100.0], vec![100.0, 1_000.0]),
        ] {
            let axis = Axis::over(scale, values.into_iter());
            assert_eq!(axis.ticks, ticks, "{values:?}");
            let ends = [ticks[0], ticks[ticks.len() - 1]].map(|tick| axis.part(tick));
            assert_eq!(ends, [0.0, 1.0], "{values:?}");
            assert!(
                values
                    .iter()
                    .all(|value| (ends[0]..=ends[1]).contains(&axis.part(*value)))
            );
        }
    }

    #[test]
    fn a_chart_has_its_units_a_line_for_each_name_and_a_mark_for_each_value() {
        for scale in [Scale::Linear, Scale::Log] {
            let svg = chart(scale).svg();
            for part in [
                "jobs/s</text>",
                "queues of a worker</text>",
                ">enqueue</text>",
                ">work</text>",
            ] {
                assert!(svg.contains(part), "no {part} in {svg}");
            }
            assert_eq!(
                (svg.matches("<polyline").count(), svg.matches("<circle").count()),
                (2, 4)
            );
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn labels_are_short() {
        let labels = [0.0, 50.0, 1_000.0, 1_500.0, 1_000_000.0].map(short);
        assert_eq!(labels, ["0", "50", "1k", "1.5k", "1M"]);
    }

    #[test]
    fn the_numbers_stand_in_a_table_too() {
        let table = chart(Scale::Log).table();
        assert!(table.ends_with("| 1 | 1000 | 40000 |\n| 50 | 900 | 10 |\n"), "{table}");
    }
}
