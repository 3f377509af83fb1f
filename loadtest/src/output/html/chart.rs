//! Line chart as inline SVG, with a table of its values for those who do not see it.

use std::fmt::Write;

use super::escape;
use crate::output::summary::number;

/// Size of the drawing in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 300.0;
/// Space around the plot: left for the values, right for the names of the lines.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 36.0;
/// Least distance of two names of lines.
const NAME_GAP: f64 = 15.0;

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// Its name.
    pub(super) name: String,
    /// Its colour, 0 to 5; the same in both runs.
    pub(super) colour: usize,
    /// Whether it is the second run's, drawn dashed.
    pub(super) second: bool,
    /// Points, ascending.
    pub(super) points: Vec<(f64, f64)>,
}

/// A stretch that is shaded and named: a phase.
#[derive(Clone, Debug)]
pub(super) struct Band {
    pub(super) name: String,
    pub(super) from: f64,
    pub(super) to: f64,
}

/// A value not to be exceeded.
#[derive(Clone, Debug)]
pub(super) struct Threshold {
    pub(super) name: String,
    pub(super) at: f64,
    pub(super) ok: bool,
}

/// What the horizontal axis says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// Seconds since the start.
    Seconds,
    /// Milliseconds, logarithmic.
    Millis,
    /// The share below, in percent: 0, 50, 90, 99, 99.9 equally far apart.
    Percentile,
}

/// A chart.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub(super) id: String,
    pub(super) title: String,
    /// Unit of the values.
    pub(super) unit: &'static str,
    pub(super) axis: Axis,
    pub(super) series: Vec<Series>,
    pub(super) bands: Vec<Band>,
    pub(super) thresholds: Vec<Threshold>,
}

/// Distances from 0 to a round number above `most`, about five of them.
fn ticks(most: f64) -> Vec<f64> {
    let most = if most > 0.0 { most } else { 1.0 };
    let rough = most / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let mut ticks = vec![0.0];
    while ticks.last().is_some_and(|last| *last < most) {
        let next = ticks.last().copied().unwrap_or(0.0) + step;
        ticks.push(next);
    }
    ticks
}

/// Where values are drawn.
struct Scale {
    axis: Axis,
    from: f64,
    to: f64,
    top: f64,
}

impl Scale {
    fn of(chart: &Chart) -> Self {
        let points = || chart.series.iter().flat_map(|series| &series.points);
        let highest = points().map(|(_, y)| *y).chain(chart.thresholds.iter().map(|line| line.at)).fold(0.0, f64::max);
        let top = ticks(highest).last().copied().unwrap_or(1.0);
        let ends = points().map(|(x, _)| *x).chain(chart.bands.iter().flat_map(|band| [band.from, band.to]));
        let (from, to) = ends.fold((f64::INFINITY, 0.0_f64), |(from, to), x| (from.min(x), to.max(x)));
        let (from, to) = match chart.axis {
            Axis::Seconds => (0.0, to.max(1.0)),
            Axis::Millis => (from.clamp(0.001, 1e9).log10().floor(), to.max(0.01).log10().ceil()),
            Axis::Percentile => (0.0, 3.5),
        };
        Self { axis: chart.axis, from, to, top }
    }

    fn x(&self, value: f64) -> f64 {
        let place = match self.axis {
            Axis::Seconds => value,
            Axis::Millis => value.max(0.001).log10(),
            // 0, 50, 90, 99, 99.9 %: each step takes away the same part of the rest.
            Axis::Percentile => percentile_place(value),
        };
        LEFT + (place - self.from) / (self.to - self.from).max(1e-9) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)
    }

    /// Values of the horizontal axis that are named.
    fn x_ticks(&self) -> Vec<(f64, String)> {
        match self.axis {
            Axis::Seconds => ticks(self.to).into_iter().filter(|x| *x <= self.to).map(|x| (x, seconds(x))).collect(),
            Axis::Millis => {
                let mut ticks = Vec::new();
                let mut power = self.from;
                while power <= self.to {
                    ticks.push((10_f64.powf(power), number(10_f64.powf(power))));
                    power += 1.0;
                }
                ticks
            }
            Axis::Percentile => [0.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9].map(|x| (x, number(x))).into(),
        }
    }

    const fn caption(&self) -> &'static str {
        match self.axis {
            Axis::Seconds => "time since the start",
            Axis::Millis => "ms (logarithmic)",
            Axis::Percentile => "percentile",
        }
    }
}

fn percentile_place(percent: f64) -> f64 {
    let rest = (1.0 - percent / 100.0).clamp(0.0005, 1.0);
    // log10 of the rest, with the lower half stretched a little so that the median has room.
    -rest.log10() + if percent >= 50.0 { 0.3 } else { percent / 50.0 * 0.3 }
}

fn seconds(value: f64) -> String {
    if value >= 120.0 && value % 60.0 == 0.0 {
        format!("{} min", number(value / 60.0))
    } else {
        format!("{} s", number(value))
    }
}

impl Chart {
    /// Whether there is anything to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.is_empty())
    }

    /// The figure: drawing and table.
    pub(super) fn html(&self) -> String {
        let (id, title) = (&self.id, escape(&self.title));
        let mut html =
            format!("<figure><figcaption id=\"{id}\">{title} <span>{}</span></figcaption>\n", escape(self.unit));
        let _ = writeln!(
            html,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}\" aria-describedby=\"{id}-d\">\
             <desc id=\"{id}-d\">{}</desc>",
            escape(&self.description())
        );
        self.draw(&mut html);
        html.push_str("</svg>\n");
        self.table(&mut html);
        html.push_str("</figure>\n");
        html
    }

    /// One sentence for each line: from where to where it goes.
    fn description(&self) -> String {
        let of = |series: &Series| {
            let (low, high) =
                crate::output::statistics::spread(&series.points.iter().map(|(_, y)| *y).collect::<Vec<_>>());
            let last = series.points.last().map_or(0.0, |(_, y)| *y);
            format!("{}: from {} to {}, at the end {}.", series.name, number(low), number(high), number(last))
        };
        let lines = self.series.iter().filter(|series| !series.points.is_empty()).map(of);
        let limits = self
            .thresholds
            .iter()
            .map(|line| format!("Limit {}: {}.", line.name, if line.ok { "kept" } else { "exceeded" }));
        lines.chain(limits).collect::<Vec<_>>().join(" ")
    }

    fn draw(&self, svg: &mut String) {
        let scale = Scale::of(self);
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (index, band) in self.bands.iter().enumerate() {
            let (from, to) = (scale.x(band.from), scale.x(band.to));
            let width = (to - from).max(0.0);
            let _ = writeln!(
                svg,
                "<rect class=\"band b{}\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
                index % 2,
                bottom - TOP
            );
            // A name that does not fit would lie over the next one.
            let fits: String = band.name.chars().take(fitting(width)).collect();
            let _ = writeln!(
                svg,
                "<text class=\"phase\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                from + 4.0,
                TOP - 8.0,
                escape(&fits)
            );
        }
        for value in ticks(scale.top).into_iter().filter(|value| *value <= scale.top * 1.0001) {
            let y = scale.y(value);
            let _ = writeln!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>");
            let _ = writeln!(
                svg,
                "<text class=\"tick y\" x=\"{}\" y=\"{:.1}\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                number(value)
            );
        }
        for (value, name) in scale.x_ticks() {
            let x = scale.x(value);
            let _ = writeln!(svg, "<path class=\"grid x\" d=\"M{x:.1} {bottom}v5\"/>");
            let _ = writeln!(svg, "<text class=\"tick x\" x=\"{x:.1}\" y=\"{:.1}\">{name}</text>", bottom + 18.0);
        }
        let _ = writeln!(
            svg,
            "<text class=\"tick caption\" x=\"{right}\" y=\"{:.1}\">{}</text>",
            HEIGHT - 3.0,
            scale.caption()
        );
        for line in &self.thresholds {
            let (y, class) = (scale.y(line.at), if line.ok { "limit" } else { "limit missed" });
            let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{LEFT} {y:.1}H{right}\"/>");
            let _ = writeln!(
                svg,
                "<text class=\"{class}\" x=\"{}\" y=\"{:.1}\">{}</text>",
                LEFT + 6.0,
                y - 5.0,
                escape(&line.name)
            );
        }
        for series in &self.series {
            draw_series(svg, &scale, series);
        }
        // The only line of a distribution has nothing to be told apart from, and ends at the axis.
        let unnamed = self.series.len() == 1 && self.axis != Axis::Seconds;
        for (y, series) in self.names(&scale).into_iter().filter(|_| !unnamed) {
            let class = series.class();
            let _ = writeln!(
                svg,
                "<text class=\"name {class}\" x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                right + 8.0,
                escape(&series.name)
            );
        }
    }

    /// Names at the ends of their lines, moved apart so that none lies over another.
    fn names(&self, scale: &Scale) -> Vec<(f64, &Series)> {
        let end = |series: &Series| series.points.last().map(|(_, y)| scale.y(*y) + 4.0);
        let mut names: Vec<(f64, &Series)> =
            self.series.iter().filter_map(|series| Some((end(series)?, series))).collect();
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        for index in 1..names.len() {
            names[index].0 = names[index].0.max(names[index - 1].0 + NAME_GAP);
        }
        // Pushed out at the bottom: back up again.
        let mut lowest = HEIGHT - BOTTOM + 4.0;
        for name in names.iter_mut().rev() {
            name.0 = name.0.min(lowest);
            lowest = name.0 - NAME_GAP;
        }
        names
    }

    fn table(&self, html: &mut String) {
        let mut xs: Vec<f64> = self.series.iter().flat_map(|series| series.points.iter().map(|(x, _)| *x)).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        let head = match self.axis {
            Axis::Seconds => "s",
            Axis::Millis => "ms",
            Axis::Percentile => "%",
        };
        let _ = write!(
            html,
            "<details><summary>Values as a table</summary><div class=\"wide\"><table><thead><tr><th scope=\"col\">{head}</th>"
        );
        for series in &self.series {
            let _ = write!(html, "<th scope=\"col\">{}</th>", escape(&series.name));
        }
        html.push_str("</tr></thead><tbody>\n");
        for x in xs {
            let _ = write!(html, "<tr><th scope=\"row\">{}</th>", number(x));
            for series in &self.series {
                let value = series.points.iter().find(|(at, _)| at.total_cmp(&x).is_eq());
                let _ = write!(html, "<td>{}</td>", value.map_or_else(String::new, |(_, y)| number(*y)));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div></details>\n");
    }
}

/// How many characters of a phase's name have room.
fn fitting(width: f64) -> usize {
    (0..60_u32).take_while(|count| f64::from(*count + 1) * 6.6 + 6.0 <= width).count()
}

impl Series {
    fn class(&self) -> String {
        format!("s{}{}", self.colour % 6, if self.second { " second" } else { "" })
    }
}

fn draw_series(svg: &mut String, scale: &Scale, series: &Series) {
    let class = series.class();
    let place = |(x, y): &(f64, f64)| format!("{:.1} {:.1}", scale.x(*x), scale.y(*y));
    let path = series.points.iter().map(place).collect::<Vec<_>>().join("L");
    if series.points.len() > 1 {
        let _ = writeln!(svg, "<path class=\"line {class}\" d=\"M{path}\"/>");
    }
    // A few points are seen better than the lines between them.
    if series.points.len() <= 40 {
        for point in &series.points {
            let (x, y) = (scale.x(point.0), scale.y(point.1));
            let _ = writeln!(
                svg,
                "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"><title>{}: {}</title></circle>",
                escape(&series.name),
                number(point.1)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(f64, f64)]) -> Chart {
        let series = Series { name: "p95 <&>".into(), colour: 1, second: false, points: points.to_vec() };
        Chart {
            id: "c".into(),
            title: "Latency".into(),
            unit: "ms",
            axis: Axis::Seconds,
            series: vec![series],
            bands: vec![Band { name: "ramp up".into(), from: 0.0, to: 60.0 }],
            thresholds: vec![Threshold { name: "p95 < 20".into(), at: 20.0, ok: true }],
        }
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (most, last, count) in [(0.0, 1.0, 6), (7.3, 8.0, 5), (99.0, 100.0, 6), (0.03, 0.03, 4)] {
            let ticks = ticks(most);
            assert!((ticks[ticks.len() - 1] - last).abs() < 1e-9 && ticks.len() == count, "{most}: {ticks:?}");
        }
    }

    #[test]
    fn a_chart_says_what_it_shows_without_being_seen() {
        let html = chart(&[(0.0, 5.0), (10.0, 12.5)]).html();
        for part in [
            "role=\"img\"",
            "p95 &lt;&amp;&gt;: from 5 to 12.5, at the end 12.5. Limit p95 &lt; 20: kept.",
            "<th scope=\"row\">10</th><td>12.5</td>",
            ">ramp up</text>",
            "class=\"limit\"",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!html.contains("NaN") && !html.contains("inf"));
    }

    #[test]
    fn nothing_and_a_single_point_are_drawn_too() {
        for points in [&[][..], &[(3.0, 0.0)]] {
            for axis in [Axis::Seconds, Axis::Millis, Axis::Percentile] {
                let html = Chart { axis, ..chart(points) }.html();
                assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
            }
        }
        assert!(chart(&[]).is_empty());
    }

    #[test]
    fn names_of_lines_do_not_overlap() {
        let mut chart = chart(&[(0.0, 1.0)]);
        chart.series = (0..6_u32)
            .map(|n| Series { points: vec![(0.0, f64::from(n) * 0.001)], ..chart.series[0].clone() })
            .collect();
        let scale = Scale::of(&chart);
        let names = chart.names(&scale);
        assert!(names.windows(2).all(|pair| pair[1].0 - pair[0].0 >= NAME_GAP - 1e-6));
        assert!(names.iter().all(|(y, _)| *y <= HEIGHT - BOTTOM + 4.1));
    }
}
