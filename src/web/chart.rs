//! Charts as the geometry of an SVG, reckoned here: a page needs no script to show one.

use crate::domain::time::Time;

/// One series: a value at each instant, oldest first. `None` is a value that nobody told us: the line has a gap there.
pub(crate) type Points = Vec<(Time, Option<i64>)>;

/// A span of time on the horizontal axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Time,
    pub(crate) until: Time,
}

impl Span {
    fn ms(self) -> i64 {
        self.until.ms_since(self.from).max(1)
    }
}

/// A small line without axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spark {
    pub(crate) line: String,
    pub(crate) area: String,
    /// The highest value.
    pub(crate) highest: i64,
}

/// The sparkline's view box; half a unit is left at each edge for the line's width.
pub(crate) const SPARK_WIDTH: f64 = 120.0;
pub(crate) const SPARK_HEIGHT: f64 = 28.0;

/// `points` as a sparkline; `None` when there are fewer than two values.
pub(crate) fn spark(span: Span, points: &Points) -> Option<Spark> {
    let values: Vec<i64> = points.iter().filter_map(|(_, value)| *value).collect();
    let highest = *values.iter().max()?;
    if values.len() < 2 {
        return None;
    }
    let frame = Frame {
        left: 1.0,
        top: 2.0,
        width: SPARK_WIDTH - 2.0,
        height: SPARK_HEIGHT - 4.0,
        span,
        // A flat line at the bottom says "empty", not "full".
        highest: highest.max(1),
    };
    let runs = frame.runs(points);
    Some(Spark {
        line: line(&runs),
        area: frame.area(&runs),
        highest,
    })
}

/// A chart with axes, for one width of the page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    pub(crate) width: i64,
    pub(crate) height: i64,
    /// Where the axes cross the plot's edges.
    pub(crate) left: i64,
    pub(crate) right: i64,
    pub(crate) top: i64,
    pub(crate) bottom: i64,
    pub(crate) lines: Vec<String>,
    /// Times without any value: from, width.
    pub(crate) gaps: Vec<(String, String)>,
    pub(crate) y_ticks: Vec<Tick>,
    pub(crate) x_ticks: Vec<Tick>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) place: String,
    /// A number of the axis, or an instant in milliseconds.
    pub(crate) value: i64,
}

/// The series on one pair of axes, `width` units wide.
pub(crate) fn chart(width: i64, height: i64, span: Span, series: &[Points]) -> Chart {
    let (left, right, top, bottom) = (44, width - 8, 10, height - 24);
    let values = series.iter().flatten().filter_map(|(_, value)| *value);
    let highest = nice(values.max().unwrap_or(0));
    let frame = Frame {
        left: left as f64,
        top: top as f64,
        width: (right - left) as f64,
        height: (bottom - top) as f64,
        span,
        highest,
    };
    let halves = if highest % 2 == 0 {
        vec![0, highest / 2, highest]
    } else {
        vec![0, highest]
    };
    let every = tick_every(span.ms(), if width < 500 { 4 } else { 7 });
    Chart {
        width,
        height,
        left,
        right,
        top,
        bottom,
        lines: series.iter().map(|points| line(&frame.runs(points))).collect(),
        gaps: frame.gaps(series),
        y_ticks: halves
            .into_iter()
            .map(|value| Tick {
                place: short(frame.y(value)),
                value,
            })
            .collect(),
        x_ticks: (span.from.ms().div_euclid(every) + 1..=span.until.ms().div_euclid(every))
            .map(|step| step * every)
            .map(|ms| Tick {
                place: short(frame.x(Time::from_ms(ms))),
                value: ms,
            })
            .collect(),
    }
}

/// Keeps at most `count` points: of each stretch of time the one with the highest value, so that no peak is lost.
pub(crate) fn thin(span: Span, points: Points, count: usize) -> Points {
    if points.len() <= count {
        return points;
    }
    let slot = |at: Time| at.ms_since(span.from) * i64::try_from(count).unwrap_or(1) / span.ms();
    let mut kept: Points = Vec::with_capacity(count);
    for point in points {
        match kept.last_mut() {
            Some(last) if slot(last.0) == slot(point.0) => {
                if point.1 > last.1 {
                    *last = point;
                }
            }
            _ => kept.push(point),
        }
    }
    kept
}

/// The time between two marks of the axis, so that at most `most` of them fall into `span_ms`; they stand at round times.
fn tick_every(span_ms: i64, most: i64) -> i64 {
    const MINUTE: i64 = 60_000;
    const STEPS: [i64; 9] = [1, 5, 10, 20, 60, 240, 480, 1440, 2880];
    STEPS
        .into_iter()
        .map(|minutes| minutes * MINUTE)
        .find(|every| span_ms / every <= most)
        .unwrap_or((span_ms / most).max(1))
}

/// The smallest of 1, 2, 4, 5, 10, 20, … that is not below `highest`.
fn nice(highest: i64) -> i64 {
    let mut unit: i64 = 1;
    loop {
        for step in [1, 2, 4, 5] {
            if let Some(top) = unit.checked_mul(step)
                && top >= highest
            {
                return top;
            }
        }
        match unit.checked_mul(10) {
            Some(next) => unit = next,
            None => return i64::MAX,
        }
    }
}

struct Frame {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    span: Span,
    highest: i64,
}

type Run = Vec<(f64, f64)>;

impl Frame {
    fn x(&self, at: Time) -> f64 {
        self.left + self.width * (at.ms_since(self.span.from) as f64 / self.span.ms() as f64).min(1.0)
    }

    fn y(&self, value: i64) -> f64 {
        self.top + self.height * (1.0 - value as f64 / self.highest as f64)
    }

    /// Values further apart than this are not joined: nothing is known of the time between them.
    fn longest_step(&self, points: &Points) -> i64 {
        let mut steps: Vec<i64> = points
            .windows(2)
            .map(|pair| pair[1].0.ms_since(pair[0].0))
            .collect();
        steps.sort_unstable();
        let usual = steps.get(steps.len() / 2).copied().unwrap_or(0);
        (usual * 4).max(self.span.ms() / 60)
    }

    /// The stretches that can be drawn in one go.
    fn runs(&self, points: &Points) -> Vec<Run> {
        let longest = self.longest_step(points);
        let mut runs: Vec<Run> = Vec::new();
        let mut last: Option<Time> = None;
        for (at, value) in points {
            let Some(value) = value else {
                last = None;
                continue;
            };
            let place = (self.x(*at), self.y(*value));
            match (last.filter(|last| at.ms_since(*last) <= longest), runs.last_mut()) {
                (Some(_), Some(run)) => run.push(place),
                _ => runs.push(vec![place]),
            }
            last = Some(*at);
        }
        runs
    }

    fn area(&self, runs: &[Run]) -> String {
        let floor = short(self.top + self.height);
        runs.iter()
            .filter_map(|run| {
                let (first, last) = (run.first()?, run.last()?);
                let line = line(std::slice::from_ref(run));
                Some(format!(
                    "{line}L{} {floor}L{} {floor}Z",
                    short(last.0),
                    short(first.0)
                ))
            })
            .collect()
    }

    /// The times in which no series has a value: from the last one before to the first one after.
    fn gaps(&self, series: &[Points]) -> Vec<(String, String)> {
        let mut known: Vec<Time> = series
            .iter()
            .flatten()
            .filter_map(|(at, value)| value.map(|_| *at))
            .collect();
        known.sort_unstable();
        let longest = series
            .iter()
            .map(|points| self.longest_step(points))
            .max()
            .unwrap_or(0);
        let edges = [self.span.from].into_iter().chain(known).chain([self.span.until]);
        let edges: Vec<Time> = edges.collect();
        edges
            .windows(2)
            .filter(|pair| pair[1].ms_since(pair[0]) > longest)
            .map(|pair| {
                let (from, until) = (self.x(pair[0]), self.x(pair[1]));
                (short(from), short((until - from).max(0.0)))
            })
            .collect()
    }
}

fn line(runs: &[Run]) -> String {
    let mut path = String::new();
    for run in runs {
        for (index, (x, y)) in run.iter().enumerate() {
            path.push(if index == 0 { 'M' } else { 'L' });
            path.push_str(&short(*x));
            path.push(' ');
            path.push_str(&short(*y));
        }
        if let [(x, y)] = run.as_slice() {
            // A lone value is a dot.
            path.push_str(&format!("L{} {}", short(x + 0.5), short(*y)));
        }
    }
    path
}

fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span {
        from: Time::from_ms(0),
        until: Time::from_ms(3_600_000),
    };

    fn minutes(values: &[Option<i64>]) -> Points {
        let at = |index: usize| Time::from_ms(index as i64 * 60_000);
        values
            .iter()
            .enumerate()
            .map(|(index, value)| (at(index), *value))
            .collect()
    }

    #[test]
    fn a_value_that_is_not_known_is_a_gap_and_never_a_zero() {
        let spark = spark(SPAN, &minutes(&[Some(4), Some(4), None, Some(2), Some(2)])).expect("a line");
        assert_eq!(spark.line, "M1 2L3 2M6.9 14L8.9 14");
        assert_eq!(spark.highest, 4);
    }

    #[test]
    fn a_line_that_was_never_above_zero_lies_at_the_bottom() {
        let spark = spark(SPAN, &minutes(&[Some(0), Some(0)])).expect("a line");
        assert_eq!(spark.line, "M1 26L3 26");
    }

    #[test]
    fn fewer_than_two_values_make_no_line() {
        assert_eq!(spark(SPAN, &minutes(&[Some(4)])), None);
        assert_eq!(spark(SPAN, &minutes(&[None, None])), None);
        assert_eq!(spark(SPAN, &Vec::new()), None);
    }

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (highest, top) in [
            (0, 1),
            (1, 1),
            (3, 4),
            (5, 5),
            (6, 10),
            (11, 20),
            (99, 100),
            (4001, 5000),
        ] {
            assert_eq!(nice(highest), top);
        }
        assert_eq!(nice(i64::MAX), i64::MAX);
    }

    #[test]
    fn the_marks_of_the_time_axis_stand_at_round_times() {
        let span = Span {
            from: Time::from_ms(7 * 60_000 + 1),
            until: Time::from_ms(67 * 60_000 + 1),
        };
        let minutes = |width| -> Vec<i64> {
            let chart = chart(width, 200, span, &[minutes(&[Some(1); 3])]);
            chart.x_ticks.iter().map(|tick| tick.value / 60_000).collect()
        };
        assert_eq!(minutes(800), [10, 20, 30, 40, 50, 60]);
        assert_eq!(minutes(340), [20, 40, 60]);
    }

    #[test]
    fn thinning_keeps_the_peaks() {
        let points: Points = (0..3600)
            .map(|s| (Time::from_ms(s * 1000), Some(i64::from(s == 1801))))
            .collect();
        let thinned = thin(SPAN, points, 60);
        assert_eq!(thinned.len(), 60);
        assert_eq!(thinned.iter().filter(|(_, value)| *value == Some(1)).count(), 1);
    }

    #[test]
    fn times_without_readings_are_marked() {
        let mut points = minutes(&[Some(1); 61]);
        points.retain(|(at, _)| !(600_000..1_800_000).contains(&at.ms()));
        let chart = chart(800, 200, SPAN, &[points]);
        assert_eq!(chart.gaps.len(), 1, "{:?}", chart.gaps);
        assert_eq!(chart.lines[0].matches('M').count(), 2);
    }
}
