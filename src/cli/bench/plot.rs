//! Percentiles as one picture: an SVG without scripts, fonts or anything else from outside. The horizontal axis is stretched
//! towards 100 %, as is usual for latencies: each further nine takes the same room. Used by [`super`] for `--svg`.

use super::fault::Fault;
use std::{fmt::Write, path::Path};

/// Size of the picture.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 540.0;
/// Where the plot lies in it.
const LEFT: f64 = 80.0;
const TOP: f64 = 50.0;
const RIGHT: f64 = 930.0;
const BOTTOM: f64 = 470.0;
/// Past this ratio of longest to shortest the vertical axis is logarithmic.
const WIDE: f64 = 30.0;
/// One for each group of curves; told apart by most eyes.
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6f4e7c", "#444444"];

/// A curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Curves of one group have one colour and one line in the legend.
    pub group: String,
    /// Per cent and microseconds, both rising.
    pub points: Vec<[f64; 2]>,
}

/// Draws `curves` into a file.
pub fn write(path: &Path, title: &str, curves: &[Curve]) -> Result<(), Fault> {
    if curves.iter().all(|c| c.points.is_empty()) {
        return Err(Fault::Asked("--svg: there are no latencies to draw; give the row a --rate".into()));
    }
    std::fs::write(path, svg(title, curves)).map_err(|source| Fault::File { path: path.to_owned(), source })
}

/// How many nines a percentage has, as a number with fractions: 0 % is 0, 90 % is 1, 99 % is 2.
fn nines(per_cent: f64) -> f64 {
    -(1.0 - per_cent / 100.0).max(1e-12).log10()
}

/// The vertical axis.
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    fn new(curves: &[Curve]) -> Axis {
        let values = || curves.iter().flat_map(|c| &c.points).map(|p| p[1].max(0.01));
        let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(0.01, f64::max));
        if high / low > WIDE {
            return Axis {
                low: 10f64.powf(low.log10().floor()),
                high: 10f64.powf(high.log10().ceil()),
                logarithmic: true,
            };
        }
        Axis { low: 0.0, high: high * 1.05, logarithmic: false }
    }

    fn y(&self, us: f64) -> f64 {
        let part = match self.logarithmic {
            true => (us.max(self.low) / self.low).log10() / (self.high / self.low).log10(),
            false => us / self.high,
        };
        BOTTOM - part * (BOTTOM - TOP)
    }

    /// Where lines are drawn across.
    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let first = self.low.log10().round() as i32;
            return (first..=self.high.log10().round() as i32).map(|e| 10f64.powi(e)).collect();
        }
        let rough = self.high / 6.0;
        let unit = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * unit).into_iter().find(|s| *s >= rough).unwrap_or(unit * 10.0);
        (0..=(self.high / step) as usize).map(|i| i as f64 * step).collect()
    }
}

fn time(us: f64) -> String {
    let (number, unit) = match us {
        n if n >= 1e6 => (n / 1e6, "s"),
        n if n >= 1e3 => (n / 1e3, "ms"),
        n => (n, "µs"),
    };
    format!("{} {unit}", (number * 1000.0).round() / 1000.0)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn svg(title: &str, curves: &[Curve]) -> String {
    let axis = Axis::new(curves);
    let last = curves.iter().flat_map(|c| &c.points).map(|p| nines(p[0])).fold(1.0, f64::max);
    let x = |per_cent: f64| LEFT + nines(per_cent) / last * (RIGHT - LEFT);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"16\">{}</text>\n",
        escaped(title)
    );
    for us in axis.ticks() {
        let y = axis.y(us);
        line(&mut out, [LEFT, y, RIGHT, y]);
        label(&mut out, LEFT - 8.0, y + 4.0, "end", &time(us));
    }
    for per_cent in ["0", "50", "90", "99", "99.9", "99.99", "99.999", "99.9999", "99.99999"] {
        let at = x(per_cent.parse().unwrap_or(0.0));
        if at <= RIGHT + 1.0 {
            line(&mut out, [at, TOP, at, BOTTOM]);
            label(&mut out, at, BOTTOM + 20.0, "middle", &format!("{per_cent} %"));
        }
    }
    label(&mut out, (LEFT + RIGHT) / 2.0, BOTTOM + 42.0, "middle", "of the messages took no longer than this");
    let mut groups: Vec<&str> = Vec::new();
    for curve in curves {
        let group = groups.iter().position(|g| *g == curve.group).unwrap_or_else(|| {
            groups.push(&curve.group);
            groups.len() - 1
        });
        let mut points = String::new();
        for [per_cent, us] in &curve.points {
            let _ = write!(points, "{:.1},{:.1} ", x(*per_cent), axis.y(*us));
        }
        let colour = COLOURS[group % COLOURS.len()];
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" points=\"{}\"/>",
            points.trim_end()
        );
    }
    for (i, group) in groups.iter().enumerate() {
        let (y, colour) = (TOP + 16.0 + 18.0 * i as f64, COLOURS[i % COLOURS.len()]);
        let _ = writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"18\" height=\"4\" fill=\"{colour}\"/>",
            LEFT + 12.0,
            y - 6.0
        );
        label(&mut out, LEFT + 38.0, y, "start", group);
    }
    out + "</svg>\n"
}

fn line(out: &mut String, [x1, y1, x2, y2]: [f64; 4]) {
    let _ = writeln!(out, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#dddddd\"/>");
}

fn label(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escaped(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(group: &str, scale: f64) -> Curve {
        let points = [[0.0, 1.0], [50.0, 2.0], [90.0, 3.0], [99.0, 9.0], [99.9, 20.0]];
        Curve { group: group.into(), points: points.map(|[p, us]| [p, us * scale]).to_vec() }
    }

    #[test]
    fn each_nine_takes_the_same_room() {
        for (per_cent, n) in [(0.0, 0.0), (90.0, 1.0), (99.0, 2.0), (99.9, 3.0)] {
            assert!((nines(per_cent) - n).abs() < 1e-9);
        }
        assert!(nines(100.0).is_finite());
    }

    #[test]
    fn a_picture_holds_its_curves_and_nothing_from_outside() {
        let svg = svg("a <b> & \"c\"", &[curve("one", 1.0), curve("one", 1.5), curve("<two>", 500.0)]);
        assert!(svg.contains("a &lt;b&gt; &amp; &quot;c&quot;") && svg.contains("&lt;two&gt;"));
        assert_eq!(svg.matches("<polyline").count(), 3);
        assert_eq!((svg.matches(COLOURS[0]).count(), svg.matches(COLOURS[1]).count()), (3, 2));
        assert_eq!(svg.matches("http").count(), 1, "only the name space");
        assert!(!svg.contains("NaN") && !svg.contains("script") && !svg.contains("href"));
        // 99.9 % is the end of the axis, and lies at the right edge
        assert!(svg.contains("930.0,") && svg.contains("99.9 %") && !svg.contains("99.99 %"));
    }

    #[test]
    fn the_axis_fits_what_is_drawn() {
        let narrow = Axis::new(&[curve("a", 1.0)]);
        assert!(!narrow.logarithmic && narrow.ticks().len() > 3 && narrow.ticks().len() < 9, "{:?}", narrow.ticks());
        let wide = Axis::new(&[curve("a", 1.0), curve("b", 1000.0)]);
        assert!(wide.logarithmic);
        assert_eq!((wide.low, wide.high), (1.0, 100_000.0));
        assert_eq!((time(1.0), time(2500.0), time(3e6)), ("1 µs".into(), "2.5 ms".into(), "3 s".into()));
    }

    #[test]
    fn nothing_to_draw_is_said() {
        assert!(matches!(write(Path::new("/nowhere/x.svg"), "", &[]), Err(Fault::Asked(_))));
        assert!(matches!(write(Path::new("/nowhere/x.svg"), "", &[curve("a", 1.0)]), Err(Fault::File { .. })));
    }
}
