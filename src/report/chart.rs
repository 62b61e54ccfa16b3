//! Charts: predictions against measurements, learned activations, a function on a plane.

use ndarray::Array2;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::error::{Error, Result};

const FONT: &str = "sans-serif";
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 90, 160),
    RGBColor(200, 80, 20),
    RGBColor(20, 130, 70),
    RGBColor(140, 60, 150),
    RGBColor(110, 110, 110),
    RGBColor(180, 150, 0),
    RGBColor(0, 150, 170),
    RGBColor(170, 30, 60),
];

/// A named line through points `(x, y)`.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The name in the legend.
    pub name: String,
    /// The points, in order.
    pub points: Vec<(f64, f64)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(
    size: (u32, u32),
    paint: impl FnOnce(&Area) -> std::result::Result<(), Box<dyn std::error::Error>>,
) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)
            .map_err(Into::into)
            .and_then(|()| paint(&area))
            .and_then(|()| area.present().map_err(Into::into))
            .map_err(|e: Box<dyn std::error::Error>| {
                Error::invalid("the chart", e.to_string(), "finite values to draw")
            })?;
    }
    Ok(svg)
}

/// The range of finite values, a little enlarged.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (lower, upper) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, u), v| (l.min(v), u.max(v)));
    if lower > upper {
        return 0.0..1.0;
    }
    let margin = if lower == upper { 1.0 } else { 0.04 * (upper - lower) };
    lower - margin..upper + margin
}

/// A scatter of predictions against measurements; a perfect model lies on the diagonal.
///
/// Each series has a name and its points `(measured, predicted)`.
///
/// # Errors
/// When the values cannot be drawn.
pub fn predicted_against_measured(
    title: &str,
    unit: &str,
    series: &[(String, Vec<(f64, f64)>)],
) -> Result<String> {
    draw((760, 560), |area| {
        let all = || series.iter().flat_map(|(_, p)| p.iter().copied());
        let axis = range(all().flat_map(|(x, y)| [x, y]));
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FONT, 20))
            .margin(14)
            .x_label_area_size(46)
            .y_label_area_size(58)
            .build_cartesian_2d(axis.clone(), axis.clone())?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc(format!("measured {unit}"))
            .y_desc(format!("predicted {unit}"))
            .label_style((FONT, 14))
            .draw()?;
        chart.draw_series(LineSeries::new(
            [(axis.start, axis.start), (axis.end, axis.end)],
            BLACK.mix(0.4),
        ))?;
        for (k, (name, points)) in series.iter().enumerate() {
            let colour = COLOURS[k % COLOURS.len()];
            chart
                .draw_series(points.iter().map(|p| Circle::new(*p, 4, colour.mix(0.65).filled())))?
                .label(name)
                .legend(move |(x, y)| Circle::new((x + 8, y), 4, colour.filled()));
        }
        legend(&mut chart)
    })
}

/// Several curves in one frame.
///
/// # Errors
/// When the values cannot be drawn.
pub fn curves(title: &str, x_name: &str, y_name: &str, curves: &[Curve]) -> Result<String> {
    draw((760, 480), |area| {
        let all = || curves.iter().flat_map(|c| c.points.iter().copied());
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FONT, 20))
            .margin(14)
            .x_label_area_size(46)
            .y_label_area_size(58)
            .build_cartesian_2d(range(all().map(|p| p.0)), range(all().map(|p| p.1)))?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc(x_name)
            .y_desc(y_name)
            .label_style((FONT, 14))
            .draw()?;
        for (k, curve) in curves.iter().enumerate() {
            let colour = COLOURS[k % COLOURS.len()];
            chart
                .draw_series(LineSeries::new(curve.points.iter().copied(), colour.stroke_width(2)))?
                .label(&curve.name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
                });
        }
        legend(&mut chart)
    })
}

/// A function on a plane as coloured cells, with points of two classes upon it.
///
/// `values` is (rows from the bottom, columns from the left), from 0 (one class) to 1 (the other).
///
/// # Errors
/// When the values cannot be drawn.
pub fn surface(
    title: &str,
    extent: ((f64, f64), (f64, f64)),
    values: &Array2<f64>,
    points: &[(f64, f64, bool)],
) -> Result<String> {
    let ((left, right), (bottom, top)) = extent;
    draw((620, 660), |area| {
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FONT, 20))
            .margin(14)
            .x_label_area_size(34)
            .y_label_area_size(44)
            .build_cartesian_2d(left..right, bottom..top)?;
        chart.configure_mesh().disable_mesh().label_style((FONT, 14)).draw()?;
        let (rows, columns) = values.dim();
        let (width, height) = ((right - left) / columns as f64, (top - bottom) / rows as f64);
        chart.draw_series(values.indexed_iter().map(|((row, column), &v)| {
            let (x, y) = (left + column as f64 * width, bottom + row as f64 * height);
            let v = if v.is_finite() { v.clamp(0.0, 1.0) } else { 0.5 };
            let mix =
                |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * v) as u8;
            let colour = RGBColor(mix(170, 250), mix(205, 205), mix(235, 170));
            Rectangle::new([(x, y), (x + width, y + height)], colour.filled())
        }))?;
        chart.draw_series(points.iter().map(|&(x, y, class)| {
            let colour = if class { COLOURS[1] } else { COLOURS[0] };
            Circle::new((x, y), 2, colour.filled())
        }))?;
        Ok(())
    })
}

/// Pictures from left to right, as one.
///
/// # Errors
/// When there is none, or one is not a picture of this module.
pub fn beside(pictures: &[String]) -> Result<String> {
    let wrong = || {
        let found = "text without the head of a picture";
        Error::invalid("picture", found, "pictures that this library has drawn")
    };
    let size = |picture: &str, key: &str| -> Option<usize> {
        let (_, rest) = picture.split_once(&format!("{key}=\""))?;
        rest.split_once('"')?.0.parse().ok()
    };
    let (mut left, mut height) = (0, 0);
    let mut inner = String::new();
    for picture in pictures {
        let start = picture.find("<svg ").ok_or_else(wrong)?;
        let own = &picture[start..];
        let (Some(width), Some(own_height)) = (size(own, "width"), size(own, "height")) else {
            return Err(wrong());
        };
        inner.push_str(&format!("<svg x=\"{left}\" {}", &own["<svg ".len()..]));
        left += width;
        height = height.max(own_height);
    }
    if left == 0 {
        return Err(wrong());
    }
    Ok(format!(
        "<svg width=\"{left}\" height=\"{height}\" viewBox=\"0 0 {left} {height}\" \
         xmlns=\"http://www.w3.org/2000/svg\">\n{inner}</svg>\n"
    ))
}

fn legend<'a, 'b: 'a>(
    chart: &mut ChartContext<
        'a,
        SVGBackend<'b>,
        Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
    >,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 14))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_beside_each_other() {
        let values = Array2::from_elem((1, 1), 0.5);
        let one = surface("one", ((0.0, 1.0), (0.0, 1.0)), &values, &[]).unwrap();
        let two = beside(&[one.clone(), one.clone()]).unwrap();
        assert_eq!(two.matches("<svg ").count(), 3);
        assert!(two.contains("width=\"1240\" height=\"660\"") && two.contains("<svg x=\"620\""));
        assert!(beside(&[]).is_err() && beside(&["text".into()]).is_err());
    }

    #[test]
    fn charts_hold_what_they_are_given() {
        let svg = predicted_against_measured(
            "cars <1>",
            "mpg",
            &[("SLNN".into(), vec![(1.0, 1.1), (2.0, 1.9)])],
        )
        .unwrap();
        assert!(svg.contains("<svg") && svg.contains("predicted mpg") && svg.contains("SLNN"));
        assert!(svg.contains("cars &lt;1&gt;"));
        let svg = curves("a", "z", "y", &[Curve { name: "n1".into(), points: vec![] }]).unwrap();
        assert!(svg.contains("</svg>"));
        let plane = Array2::from_elem((3, 4), f64::NAN);
        assert!(surface("s", ((0.0, 1.0), (0.0, 1.0)), &plane, &[]).unwrap().contains("rect"));
    }
}
