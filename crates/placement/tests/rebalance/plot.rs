//! The plot: one panel per scenario, over time the emptiest and the fullest store as shares of the mean, and the moves so far.

use std::fmt::Write;

use crate::scenarios::{DIMENSIONS, Outcome, Point};

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 34.0;
const RATIO_MAX: f64 = 3.0;
/// Of a dimension in the order of the table.
const COLORS: [&str; 5] = ["#2066a8", "#c85200", "#7a4fb0", "#1a8a5a", "#b3367e"];

/// The SVG file.
pub fn draw(outcomes: &[Outcome]) -> String {
    let (columns, rows) = (2, outcomes.len().div_ceil(2));
    let (width, height) = (columns as f64 * (WIDTH + 70.0), rows as f64 * (HEIGHT + 80.0) + 40.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (number, outcome) in outcomes.iter().enumerate() {
        let (x, y) = (number % columns, number / columns);
        let (x, y) = (x as f64 * (WIDTH + 70.0) + LEFT, y as f64 * (HEIGHT + 80.0) + TOP);
        panel(&mut svg, outcome, x, y);
    }
    legend(&mut svg, LEFT, height - 20.0);
    svg + "</svg>\n"
}

fn legend(svg: &mut String, x: f64, y: f64) {
    let names = DIMENSIONS.iter().map(|(_, name)| format!("{name} (least and most)"));
    let entries = names.zip(COLORS).chain([("moves so far / needed".to_string(), "#777777")]);
    for (number, (name, color)) in entries.enumerate() {
        let x = x + number as f64 * 165.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{color}\" stroke-width=\"2\"/><text x=\"{}\" y=\"{}\">{name}</text>",
            x + 18.0,
            x + 22.0,
            y + 4.0
        );
    }
}

fn panel(svg: &mut String, outcome: &Outcome, x: f64, y: f64) {
    let end = outcome.points.last().map_or(1.0, |point| point.seconds).max(1.0);
    let _ = writeln!(
        svg,
        "<g transform=\"translate({x} {y})\"><text y=\"-12\" font-weight=\"bold\">{}</text>",
        outcome.name
    );
    for tick in 0..=6 {
        let ratio = f64::from(tick) * 0.5;
        let at = HEIGHT * (1.0 - ratio / RATIO_MAX);
        let color = if tick == 2 { "#999999" } else { "#e4e4e4" };
        let _ = writeln!(
            svg,
            "<line x1=\"0\" y1=\"{at}\" x2=\"{WIDTH}\" y2=\"{at}\" stroke=\"{color}\"/><text x=\"-8\" y=\"{}\" text-anchor=\"end\">{ratio:.1}</text>",
            at + 4.0
        );
    }
    for tick in 0..=4 {
        let share = f64::from(tick) / 4.0;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{:.0} min</text>",
            WIDTH * share,
            HEIGHT + 18.0,
            end * share / 60.0
        );
    }
    let mut line = |color: &str, value: &dyn Fn(&Point) -> f64| {
        let step = outcome.points.len().div_ceil(300);
        let shown = outcome
            .points
            .iter()
            .enumerate()
            .filter(|(at, _)| at % step == 0 || at + 1 == outcome.points.len());
        let each: Vec<String> = shown
            .map(|(_, point)| {
                let ratio = value(point).clamp(0.0, RATIO_MAX);
                format!("{:.1},{:.1}", point.seconds / end * WIDTH, HEIGHT * (1.0 - ratio / RATIO_MAX))
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\" points=\"{}\"/>",
            each.join(" ")
        );
    };
    line("#777777", &|point| point.moves as f64 / outcome.needed as f64);
    for (dimension, color) in COLORS.into_iter().enumerate() {
        line(color, &|point| point.evenness[dimension].least);
        line(color, &|point| point.evenness[dimension].most);
    }
    svg.push_str("</g>\n");
}
