//! Methods C2 and D, recomputed: the bands of every neuron, then every part of the divided box.
//!
//! A band claims that a function is at most a radius away from a line: the activation s on the
//! range, or the residual p - s on the interval. Given that, over a part of the box both the
//! pre-activation z of the reference and the difference D of the SLNN's from it are forms c + sum
//! g_k x_k in numbers x_k of [-1, 1], the inputs among them, with intervals for c and g_k, so that
//! rounding needs no account of its own. Behind an activation
//!
//! ```text
//! s(z)             in  a z + b + [-r, r]                            (a band of s over what z can be)
//! p(z + D) - s(z)  in  a (z + D) + b + [-r, r] + M D                (a band of p - s over z + D)
//! ```
//!
//! with M the slopes of s; where the certificate carries differences by the slopes of p, the
//! residual is taken at z instead. A part where this is not enough is halved a few times more.

use ndarray::{Array, Array1, Array2, ArrayView1, Dimension};
use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Zero};
use rayon::prelude::*;

use super::composite::Replacement;
use super::polynomial::Chebyshev;
use super::residual::Decision;
use super::{
    AT_ONCE, EXACT_ERRORS, Failure, Neurons, Outcome, Pair, Progress, bernstein, dyadic, form,
    residual,
};
use crate::approximate::{Band, Bands};
use crate::bound::{Certificate, Division, Split};
use crate::network::{Activation, Affine, Numbers};
use crate::numeric::Dyadic;
use crate::numeric::interval::Enclosure;
use crate::numeric::outward::Interval;

/// How often a part is halved beyond the certificate's splits.
const MORE: u32 = 4;

/// Whether the bands are true and the differences over every part at most the bounds claimed; `known`
/// says which outputs are bounded already.
pub(super) fn check(
    certificate: &Certificate,
    pairs: &[Pair],
    known: &[bool],
    progress: &mut Progress,
) -> Outcome<()> {
    let whole = |what: String| Err(Failure::new(None, None, what));
    let Some(division) = &certificate.division else {
        return whole(format!("method {} without a division", certificate.method.name()));
    };
    if division.bands.len() != pairs.len() {
        return whole(format!("bands of {} layers for {}", division.bands.len(), pairs.len()));
    }
    for (l, (pair, bands)) in pairs.iter().zip(&division.bands).enumerate() {
        let width = match pair {
            Pair::Affine(_) => 0,
            Pair::Neurons(neurons) => neurons.claims.len(),
        };
        if bands.len() != width {
            let what = format!("bands of {} neurons of {width}", bands.len());
            return Err(Failure::new(Some(l), None, what));
        }
        let Pair::Neurons(neurons) = pair else { continue };
        let failures: Vec<Option<String>> =
            (0..width).into_par_iter().map(|i| check_bands(neurons, i, &bands[i]).err()).collect();
        if let Some((i, Some(what))) =
            failures.into_iter().enumerate().find(|(_, failure)| failure.is_some())
        {
            return Err(Failure::new(Some(l), Some(i), what));
        }
    }
    let parts = parts(certificate, division)?;
    let walk = Walk::new(pairs, division);
    for (first, some) in (0..).step_by(AT_ONCE).zip(parts.chunks(AT_ONCE)) {
        let failures: Vec<Option<usize>> =
            some.par_iter().map(|part| walk.fails(part, &certificate.bound, known, MORE)).collect();
        if let Some((k, Some(output))) = failures.iter().enumerate().find(|(_, f)| f.is_some()) {
            let what = format!(
                "the bound {} is not confirmed on part {} of {} of the box",
                certificate.bound[*output],
                first + k,
                parts.len()
            );
            return Err(Failure::new(None, Some(*output), what));
        }
        progress.advance(some.len());
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------
// Bands
// ---------------------------------------------------------------------------------------------

fn check_bands(
    neurons: &Neurons,
    i: usize,
    [values, residuals]: &[Bands; 2],
) -> Result<(), String> {
    let (function, claim) = (neurons.functions[i], &neurons.claims[i]);
    covers(values.parts(), claim.range).map_err(|what| format!("bands of values {what}"))?;
    covers(residuals.parts(), claim.interval)
        .map_err(|what| format!("bands of residuals {what}"))?;
    // s itself is 0 - s with the line's sign turned.
    let zero = Chebyshev::line(Dyadic::from(0));
    for band in values.parts() {
        let turned = Band { slope: -band.slope, middle: -band.middle, ..*band };
        confirm(&zero, function, &turned).map_err(|what| format!("a band of values {what}"))?;
    }
    let Replacement::Polynomial(polynomial) = &neurons.replacements[i] else {
        return Err("a composite block, which methods C2 and D have no bands of".into());
    };
    for band in residuals.parts() {
        confirm(polynomial, function, band)
            .map_err(|what| format!("a band of residuals {what}"))?;
    }
    Ok(())
}

/// Whether the bands follow each other without gaps from end to end of the interval.
fn covers(bands: &[Band], interval: Interval) -> Result<(), String> {
    let (Some(first), Some(last)) = (bands.first(), bands.last()) else {
        return Err("are missing".into());
    };
    let finite = |band: &Band| {
        band.slope.is_finite()
            && band.middle.is_finite()
            && band.radius.is_finite()
            && band.lower <= band.upper
    };
    if !bands.iter().all(finite) {
        return Err("are not finite, or not in order".into());
    }
    if let Some(band) = bands.iter().find(|band| band.radius < 0.0) {
        return Err(format!("have the radius {}", band.radius));
    }
    if bands.windows(2).any(|pair| pair[0].upper != pair[1].lower) {
        return Err("leave a gap".into());
    }
    if first.lower != interval.lower || last.upper != interval.upper {
        return Err(format!("do not cover [{}, {}]", interval.lower, interval.upper));
    }
    Ok(())
}

/// Whether p - s is within the band.
fn confirm(polynomial: &Chebyshev, function: Activation, band: &Band) -> Result<(), String> {
    let place = format!("on [{}, {}]", band.lower, band.upper);
    let (lower, upper) = (dyadic(band.lower), dyadic(band.upper));
    let Some((tilted, lost)) = tilted(polynomial, band) else {
        return Err(format!("{place} has numbers that are too large"));
    };
    let radius = &dyadic(band.radius) - &lost;
    let pieces = form::pieces(function, &lower, &upper).filter(|pieces| !pieces.is_empty());
    for piece in pieces.ok_or_else(|| format!("{place} has no activation to be compared with"))? {
        if super::holds_values(&tilted, function, &piece, &radius) {
            continue;
        }
        let mut decision = residual::decide(&tilted, &piece, &radius);
        if decision != Decision::Proven
            && bernstein::cost(&tilted, &piece) <= EXACT_ERRORS
            && let Some(exactly) = bernstein::decide(&tilted, &piece, &radius)
        {
            decision = exactly;
        }
        match decision {
            Decision::Proven => {}
            Decision::Refuted { at, least } => {
                return Err(format!(
                    "{place} is at least {least:e} from the function at {at}, not {:e}",
                    band.radius
                ));
            }
            Decision::Undecided(why) => return Err(format!("{place} is not confirmed: {why}")),
        }
    }
    Ok(())
}

/// p(z) - slope z - middle, and what its coefficients' rounding can change on the band.
///
/// slope z = slope (centre + t / scale), and 1 / scale is rounded to 200 bits.
fn tilted(polynomial: &Chebyshev, band: &Band) -> Option<(Chebyshev, Dyadic)> {
    let slope = dyadic(band.slope);
    let mut coefficients = polynomial.coefficients.clone();
    coefficients.resize(coefficients.len().max(2), Dyadic::from(0));
    coefficients[0] = &(&coefficients[0] - &dyadic(band.middle)) - &(&slope * &polynomial.centre);
    let (inverse, off) = reciprocal(&polynomial.scale)?;
    coefficients[1] = &coefficients[1] - &(&slope * &inverse);
    let places = [band.lower, band.upper].map(|z| polynomial.place(&dyadic(z)).abs());
    let [left, right] = places;
    let lost = &(&slope.abs() * &off) * &left.max(right);
    let (centre, scale) = (polynomial.centre.clone(), polynomial.scale.clone());
    Some((Chebyshev::new(centre, scale, coefficients), lost))
}

/// 1 / x to about 200 bits, and how far that is off at most; `None` for 0.
fn reciprocal(x: &Dyadic) -> Option<(Dyadic, Dyadic)> {
    if x.is_zero() {
        return None;
    }
    let bits = x.mantissa().bits() + 200;
    let (quotient, rest) = (BigInt::one() << bits).div_rem(x.mantissa());
    let exponent = -x.exponent() - i64::try_from(bits).ok()?;
    let off = BigInt::from(u8::from(!rest.is_zero()));
    Some((Dyadic::new(quotient, exponent), Dyadic::new(off, exponent)))
}

// ---------------------------------------------------------------------------------------------
// Parts
// ---------------------------------------------------------------------------------------------

/// The parts of the box that are not split.
fn parts(certificate: &Certificate, division: &Division) -> Outcome<Vec<Vec<Interval>>> {
    let wrong = |what: String| Failure::new(None, None, what);
    let mut parts = Vec::new();
    let mut open = vec![certificate.domain.intervals().to_vec()];
    for split in &division.splits {
        let Some(part) = open.pop() else {
            return Err(wrong("splits of no part of the box".into()));
        };
        let Some(Split { input, at }) = *split else {
            parts.push(part);
            continue;
        };
        let inside = part.get(input).is_some_and(|x| x.lower < at && at < x.upper);
        if !inside {
            return Err(wrong(format!("a split of input {input} at {at}, outside of its part")));
        }
        let [below, above] = halves(&part, input, at);
        open.extend([above, below]);
    }
    if !open.is_empty() {
        return Err(wrong(format!("splits that leave {} parts of the box out", open.len())));
    }
    Ok(parts)
}

fn halves(part: &[Interval], input: usize, at: f64) -> [Vec<Interval>; 2] {
    let [mut below, mut above] = [part.to_vec(), part.to_vec()];
    below[input].upper = at;
    above[input].lower = at;
    [below, above]
}

/// A form: centre + sum of symbols times numbers of [-1, 1].
#[derive(Clone)]
struct Form {
    centre: Interval,
    /// The inputs and what was added for activations.
    shared: Vec<Interval>,
    /// The symbols of differences alone.
    own: Vec<Interval>,
}

impl Form {
    fn range(&self) -> Interval {
        let symbols = self.shared.iter().chain(&self.own);
        let unit = Interval::symmetric(1.0);
        symbols.fold(self.centre, |sum, g| sum + unit.scaled(g.magnitude()))
    }

    /// a x + b y; missing symbols are 0.
    fn combined(a: Interval, x: &Form, b: Interval, y: &Form) -> Form {
        let sum = |x: &[Interval], y: &[Interval]| {
            let entry = |k: usize| {
                let part = |factor: Interval, form: &[Interval]| {
                    form.get(k).map_or(Interval::ZERO, |g| factor * *g)
                };
                part(a, x) + part(b, y)
            };
            (0..x.len().max(y.len())).map(entry).collect()
        };
        Form {
            centre: a * x.centre + b * y.centre,
            shared: sum(&x.shared, &y.shared),
            own: sum(&x.own, &y.own),
        }
    }
}

/// The numbers of an affine layer, enclosed.
struct Enclosed {
    weight: Array2<Interval>,
    bias: Array1<Interval>,
}

impl Enclosed {
    fn new(affine: &Affine) -> Self {
        Enclosed { weight: enclosed(affine.weight()), bias: enclosed(affine.bias()) }
    }
}

fn enclosed<D: Dimension>(numbers: &Numbers<D>) -> Array<Interval, D> {
    match numbers {
        Numbers::Float(numbers) => numbers.mapv(Interval::point),
        Numbers::Exact(numbers) => numbers.map(|x| Interval::around(&Enclosure::point(x.clone()))),
    }
}

/// w x; an f64 has one product for each end.
fn times(w: Interval, x: Interval) -> Interval {
    if w.lower == w.upper { x.scaled(w.lower) } else { w * x }
}

/// sum_j w_ij x_j for each row.
fn mapped(affine: &Enclosed, forms: &[Form]) -> Vec<Form> {
    let (shared, own) = forms.first().map_or((0, 0), |f| (f.shared.len(), f.own.len()));
    let row = |row: ArrayView1<Interval>| {
        let zeros = |n: usize| vec![Interval::ZERO; n];
        let mut sum = Form { centre: Interval::ZERO, shared: zeros(shared), own: zeros(own) };
        for (w, form) in row.iter().zip(forms) {
            sum.centre = sum.centre + times(*w, form.centre);
            for (sum, g) in sum.shared.iter_mut().zip(&form.shared) {
                *sum = *sum + times(*w, *g);
            }
            for (sum, g) in sum.own.iter_mut().zip(&form.own) {
                *sum = *sum + times(*w, *g);
            }
        }
        sum
    };
    affine.weight.rows().into_iter().map(row).collect()
}

struct Walk<'a> {
    pairs: &'a [Pair<'a>],
    bands: &'a [Vec<[Bands; 2]>],
    affine: Vec<Option<Enclosed>>,
    /// For each neuron, whether the certificate carries differences by the slopes of s.
    by_activation: Vec<Vec<bool>>,
}

impl<'a> Walk<'a> {
    fn new(pairs: &'a [Pair<'a>], division: &'a Division) -> Self {
        let by_activation = pairs.iter().map(|pair| match pair {
            Pair::Affine(_) => vec![],
            Pair::Neurons(neurons) => (0..neurons.claims.len())
                .map(|i| super::carried_by_activation(neurons, i))
                .collect(),
        });
        let affine = pairs.iter().map(|pair| match pair {
            Pair::Affine(affine) => Some(Enclosed::new(affine)),
            Pair::Neurons(_) => None,
        });
        let (affine, by_activation) = (affine.collect(), by_activation.collect());
        Walk { pairs, bands: &division.bands, affine, by_activation }
    }

    /// An output whose bound is not confirmed over the part, or `None`.
    fn fails(&self, part: &[Interval], bounds: &[f64], known: &[bool], more: u32) -> Option<usize> {
        let found = self.differences(part);
        let fails = |(o, bound): (usize, &f64)| {
            let confirmed = found.get(o).is_some_and(|found| found.magnitude() <= *bound);
            (!known[o] && !confirmed).then_some(o)
        };
        let first = bounds.iter().enumerate().find_map(fails)?;
        if more == 0 {
            return Some(first);
        }
        let widest =
            (0..part.len()).max_by(|a, b| part[*a].width().total_cmp(&part[*b].width()))?;
        let at = part[widest].middle();
        if !(part[widest].lower < at && at < part[widest].upper) {
            return Some(first);
        }
        halves(part, widest, at).iter().find_map(|half| self.fails(half, bounds, known, more - 1))
    }

    /// The differences of the outputs over the part.
    fn differences(&self, part: &[Interval]) -> Vec<Interval> {
        let inputs = part.len();
        let input = |(j, x): (usize, &Interval)| {
            let middle = x.middle();
            let mut shared = vec![Interval::ZERO; inputs];
            shared[j] = Interval::point(x.radius_about(middle));
            Form { centre: Interval::point(middle), shared, own: vec![] }
        };
        let mut values: Vec<Form> = part.iter().enumerate().map(input).collect();
        let none = Form { centre: Interval::ZERO, shared: vec![], own: vec![] };
        let mut differences = vec![none; inputs];
        for (l, pair) in self.pairs.iter().enumerate() {
            match pair {
                Pair::Affine(_) => {
                    let Some(affine) = &self.affine[l] else { continue };
                    values = mapped(affine, &values);
                    differences = mapped(affine, &differences);
                    for (value, b) in values.iter_mut().zip(&affine.bias) {
                        value.centre = value.centre + *b;
                    }
                }
                Pair::Neurons(neurons) => {
                    let width = values.len();
                    let grown = values.first().map_or(0, |v| v.shared.len()) + width;
                    let more = differences.first().map_or(0, |d| d.own.len()) + width;
                    for i in 0..width {
                        let (value, difference) =
                            self.neuron(neurons, l, i, &values[i], &differences[i]);
                        let place = |(mut form, radius): (Form, f64), own: bool| {
                            form.shared.resize(grown, Interval::ZERO);
                            let list = if own {
                                form.own.resize(more, Interval::ZERO);
                                &mut form.own
                            } else {
                                &mut form.shared
                            };
                            let k = list.len() - width + i;
                            list[k] = Interval::point(radius);
                            form
                        };
                        values[i] = place(value, false);
                        differences[i] = place(difference, true);
                    }
                }
            }
        }
        differences.iter().map(Form::range).collect()
    }

    /// The forms behind one neuron, and the sizes of their fresh symbols.
    fn neuron(
        &self,
        neurons: &Neurons,
        l: usize,
        i: usize,
        z: &Form,
        d: &Form,
    ) -> ((Form, f64), (Form, f64)) {
        let claim = &neurons.claims[i];
        let [values, residuals] = &self.bands[l][i];
        let one = Interval::point(1.0);
        let both = |found: Interval, known: Interval| found.intersection(&known).unwrap_or(known);
        let reference = both(z.range(), claim.range);
        let apart = d.range();
        let slnn = both(Form::combined(one, z, one, d).range(), claim.interval);
        let slnn = both(slnn, reference + apart);

        let line = over(values.parts(), reference);
        let mut value = Form::combined(Interval::point(line.slope), z, Interval::ZERO, z);
        value.centre = value.centre + Interval::point(line.middle);

        let by_activation = self.by_activation[l][i];
        let rest = over(residuals.parts(), if by_activation { slnn } else { reference });
        let mut slopes = claim.slope;
        if by_activation {
            let hull = reference.hull(&slnn);
            let local =
                form::slopes(neurons.functions[i], &dyadic(hull.lower), &dyadic(hull.upper));
            if let Some((lower, upper)) = local
                && let (Some(lower), Some(upper)) = (lower.to_f64(), upper.to_f64())
            {
                slopes = both(Interval::new(lower.next_down(), upper.next_up()), slopes);
            }
        }
        let middle = slopes.middle();
        let alpha = Interval::point(rest.slope);
        let steep = Interval::point(middle);
        let steep = if by_activation { steep + alpha } else { steep };
        let mut difference = Form::combined(alpha, z, steep, d);
        difference.centre = difference.centre + Interval::point(rest.middle);
        let loose =
            Interval::point(slopes.radius_about(middle)) * Interval::point(apart.magnitude());
        let fresh = (loose + Interval::point(rest.radius)).upper;
        ((value, line.radius), (difference, fresh))
    }
}

/// One line for a range that lies in the bands: horizontal or along the chord, what is nearer.
fn over(bands: &[Band], range: Interval) -> Band {
    let met = |band: &&Band| band.lower <= range.upper && range.lower <= band.upper;
    let met: Vec<&Band> = bands.iter().filter(met).collect();
    let [first, .., last] = &met[..] else {
        let radius = f64::INFINITY;
        let none = Band { lower: 0.0, upper: 0.0, slope: 0.0, middle: 0.0, radius };
        return met.first().map_or(none, |band| **band);
    };
    let near = |slope: f64| {
        let hull = met.iter().map(|band| {
            let tilt = Interval::point(band.slope) - Interval::point(slope);
            let along = Interval::new(band.lower.max(range.lower), band.upper.min(range.upper));
            let ends =
                (tilt * Interval::point(along.lower)).hull(&(tilt * Interval::point(along.upper)));
            (ends + Interval::point(band.middle)).widened(band.radius)
        });
        let hull = hull.reduce(|a, b| a.hull(&b)).unwrap_or(Interval::ZERO);
        let middle = hull.middle();
        Band { slope, middle, radius: hull.radius_about(middle), ..**first }
    };
    let rise =
        (last.slope * range.upper + last.middle) - (first.slope * range.lower + first.middle);
    let chord = rise / (range.upper - range.lower);
    let level = near(0.0);
    if !chord.is_finite() {
        return level;
    }
    let tilted = near(chord);
    if tilted.radius < level.radius { tilted } else { level }
}
